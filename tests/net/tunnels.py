#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Connections that live long: what test_reload.py keeps open across reloads.

    tunnels.py serve ADDRESS PORT            echoes, until ended
    tunnels.py keep ADDRESS PORT N           N connections, each a line every 200 ms that must come
                                             back; at SIGTERM "tunnels=N exchanges=N broken=N"
"""
import asyncio
import signal
import sys


async def echo(r, w):
    try:
        while True:
            data = await r.read(65536)
            if not data:
                break
            w.write(data)
            await w.drain()
    except OSError:
        pass
    w.close()


async def serve(addr, port):
    async with await asyncio.start_server(echo, addr, port, backlog=512) as s:
        await s.serve_forever()


async def keep(addr, port, n):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    done = {"exchanges": 0, "broken": 0, "open": 0}

    async def one(i):
        try:
            r, w = await asyncio.open_connection(addr, port)
            done["open"] += 1
            if done["open"] == n:
                print("ready", flush=True)
            k = 0
            while not stop.is_set():
                line = b"tunnel %d line %d\n" % (i, k)
                w.write(line)
                if await asyncio.wait_for(r.readline(), 20) != line:
                    raise OSError("another line")
                k += 1
                done["exchanges"] += 1
                await asyncio.sleep(0.2)
            w.close()
        except (OSError, asyncio.TimeoutError) as e:
            done["broken"] += 1
            print("tunnel %d: %r" % (i, e), flush=True)

    await asyncio.gather(*[one(i) for i in range(n)])
    print("tunnels=%d exchanges=%d broken=%d" % (n, done["exchanges"], done["broken"]), flush=True)


if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
else:
    asyncio.run(keep(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
