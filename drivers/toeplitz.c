// SPDX-License-Identifier: BSD-3-Clause
/*
 * Toeplitz hash by tables: one look-up per input byte.
 *
 * Runs on: workers (toeplitz_hash, through port_hash), the main thread (the rest). The hash is the
 * one that NICs use for RSS: bit i of the input, if set, adds (xor) the 32 key bits that begin at
 * bit i. So it is linear, and the contribution of each byte value at each position can be stored:
 * 36 KiB for IPv6, of which IPv4 touches 12.
 */
#include "drivers/drv.h"

#include <sys/random.h>

#define PORT_AT4 10 // where the local port stands in the IPv4 input
#define PORT_AT6 34

static uint32_t
key_window(const uint8_t key[PORT_RSS_KEY], uint32_t bit)
{
	uint64_t w = 0;

	for (uint32_t i = 0; i < 5; i++) {
		uint32_t at = bit / 8 + i;
		w = w << 8 | (at < PORT_RSS_KEY ? key[at] : 0);
	}
	return (uint32_t)(w >> (8 - bit % 8));
}

void
toeplitz_init(struct toeplitz *t, const uint8_t key[PORT_RSS_KEY])
{
	for (uint32_t i = 0; i < TOEPLITZ_INPUT; i++) {
		for (uint32_t v = 0; v < 256; v++) {
			uint32_t h = 0;
			for (uint32_t b = 0; b < 8; b++) {
				if (v & (0x80u >> b))
					h ^= key_window(key, i * 8 + b);
			}
			t->t[i][v] = h;
		}
	}
}

uint32_t
toeplitz_hash(const struct toeplitz *t, const uint8_t *data, uint32_t len)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < len; i++)
		h ^= t->t[i][data[i]];
	return h;
}

/* Do the 16 bits of the local port span all values of the bucket? (Gaussian elimination.) */
static bool
key_spans(const uint8_t key[PORT_RSS_KEY])
{
	uint32_t basis[32] = { 0 }, rank = 0;

	for (uint32_t bit = 0; bit < 16; bit++) {
		uint32_t v = key_window(key, PORT_AT4 * 8 + bit) & (PORT_RETA - 1);
		while (v != 0) {
			uint32_t top = 31 - (uint32_t)__builtin_clz(v);
			if (basis[top] == 0) {
				basis[top] = v;
				rank++;
				break;
			}
			v ^= basis[top];
		}
	}
	return 1u << rank == PORT_RETA;
}

void
toeplitz_make_key(uint8_t key[PORT_RSS_KEY], bool fixed)
{
	uint64_t x = 0x736c75696365ull; // any constant: this is no secret

	do {
		if (fixed || getrandom(key, PORT_RSS_KEY, 0) != PORT_RSS_KEY) {
			for (uint32_t i = 0; i < PORT_RSS_KEY; i++) {
				x = x * 6364136223846793005ull + 1442695040888963407ull;
				key[i] = (uint8_t)(x >> 56);
			}
		}
		memcpy(key + PORT_AT6, key + PORT_AT4, PORT_RSS_KEY - PORT_AT6);
	} while (!key_spans(key));
}
