/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/model: the compiled configuration. Data only, built by the loader in the arena
 * of its generation, immutable (mprotected) after publishing. Run-time state (server state,
 * counters, idle connections) lives outside, in slots named here by index.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/str.h"
#include "dataplane/expr/expr.h"

enum px_mode { PX_TCP, PX_HTTP };
#define PX_CAP_FE 0x1u
#define PX_CAP_BE 0x2u

/* Milliseconds; 0 means not set (infinite), as in HAProxy. */
struct px_timeouts {
	uint32_t client, server, connect, http_request, http_keep_alive, queue, check, tunnel;
};

#define PX_O_HTTPLOG      0x0001u
#define PX_O_TCPLOG       0x0002u
#define PX_O_FORWARDFOR   0x0004u
#define PX_O_REDISPATCH   0x0008u
#define PX_O_DONTLOGNULL  0x0010u
#define PX_O_SERVER_CLOSE 0x0020u // option http-server-close
#define PX_O_CLOSE        0x0040u // option httpclose
#define PX_O_HTTPCHK      0x0080u
#define PX_O_SOCKET_STATS 0x0100u // a row of statistics per listener
#define PX_O_CLITCPKA     0x0200u
#define PX_O_SRVTCPKA     0x0400u

/* Probes of idle connections; 0: as "tune.tcp.keepalive-*" says. */
struct px_keepalive {
	uint32_t idle_ms, intvl_ms, count;
};

#define PX_O_LOGERRORS   0x0800u // option log-separate-errors
#define PX_O_DONTLOGNORM 0x1000u // option dontlog-normal
#define PX_O_LOGASAP     0x2000u

/* Where a model object was written, for messages. */
struct src_pos {
	const char *file;
	uint32_t line;
};

/* Every worker has a place for each; addresses of "any" that stand for both families count twice. */
#define MODEL_MAX_BINDS 255u

struct model;
struct listen_addr {
	struct src_pos pos;
	const struct model *model; // whose it is
	struct sl_str name;
	const struct proxy *fe;
	struct ip_port addr; // any address of the family: all addresses of all ports
	uint32_t maxconn;    // 0: the frontend's
	uint32_t slot;       // index of its counters
	uint32_t since;      // generation in which it got this slot; 0: at start
	/* of a socket of the host */
	uint32_t backlog; // 0: maxconn
	bool v6only, has_mode;
	uint32_t mode;    // of a path
	int32_t uid, gid; // of a path; -1: as we are
};

struct server {
	struct src_pos pos;
	struct sl_str name;
	const struct proxy *be;
	uint32_t id;   // within the backend, from 1
	uint32_t slot; // index into run-time server slots and counters, stable over reloads
	uint32_t since; // generation in which it got this slot; 0: at start
	uint32_t moved; // generation in which its address changed last; 0: never
	struct ip_port addr;
	uint16_t weight;  // 0..256
	uint32_t maxconn; // 0: none
	bool check, backup, disabled;
	uint32_t inter_ms, fastinter_ms, downinter_ms;
	uint16_t rise, fall;
	uint16_t check_port; // 0: addr.port
	struct sl_str init_addr; // loader only
};

enum lb_kind { LB_ROUNDROBIN, LB_HASH };
enum lb_hash_fn { LB_SDBM, LB_DJB2, LB_WT6, LB_CRC32 };
/* One place of a server on the ring of consistent hashing. */
struct lb_node {
	uint32_t key;
	uint16_t srv;   // index in the backend
	uint16_t place; // below 16 times the weight
};
#define LB_PLACES 16 // per unit of weight, as HAProxy
/* "balance hash", "hash-type". */
struct lb_hash {
	const struct prog *key; // pushes the bytes that are hashed, T_BIN
	uint8_t fn;             // enum lb_hash_fn
	bool avalanche, consistent;
	bool fn_set; // a function was named
	/* map-based: server indexes, for the case that all are up */
	const uint16_t *map;
	uint32_t nmap;
	/* consistent: in order of the keys, for the configured weights */
	const struct lb_node *ring;
	uint32_t nring;
};

/* use_backend: a condition and a target; dynamic targets are formats. */
struct be_switch {
	struct src_pos pos;
	const struct prog *cond; // leaves its result in the flag; NULL: always
	const struct proxy *be;  // NULL when dynamic
	const struct prog *name; // pushes the backend's name
};

struct httpchk {
	struct sl_str method, uri, version; // defaults OPTIONS / HTTP/1.0
	struct sl_str request;              // prebuilt bytes
};

/* An answer that is copied as it stands: from a file, or a redirection. */
struct http_page {
	uint16_t status;
	bool silent; // an empty file: nothing is sent, the connection ends
	bool http10;
	bool close;      // the connection ends behind it
	bool says_close; // by a field that is not in hdr: HAProxy counts its bytes
	bool has_length; // else the end of the connection is the body's
	struct sl_str reason;
	const struct sl_str *hdr; // name, value, name, value...
	uint32_t nhdr;            // pairs
	struct sl_str body;
};

/* ---- formats of records (proxy/logfmt.h) ---- */

enum log_var {
	LOGV_TEXT,
	LOGV_BLANK, // one or several, or none after another
	LOGV_EXPR,  // value `index`, evaluated by the worker
#define LOG_VAR(sym, name, flags, help) LOGV_##sym,
#include "dataplane/model/log_vars.def"
#undef LOG_VAR
	LOGV_NR
};
/* What a variable may stand in, beyond its name. */
#define LOGV_HTTP 0x1u
#define LOGV_MAIN 0x2u
struct log_var_info {
	const char *name;
	uint32_t flags;
};
/* By enum log_var; name NULL: not a variable. */
extern const struct log_var_info log_var_info[LOGV_NR];
#define LOGF_QUOTE     0x1u // +Q
#define LOGF_HEX       0x2u // +X
#define LOGF_ESCAPE    0x4u // +E
#define LOGF_MANDATORY 0x8u // +M: '-' for nothing
struct log_node {
	uint8_t var;   // enum log_var
	uint8_t flags; // LOGF_*
	uint16_t index;
	struct sl_str text;
};
#define LOG_MAX_VALUES 64 // expressions and captures of a proxy's records
struct log_format {
	const struct log_node *node;
	uint32_t n;
	const struct prog *prog; // emits the values of LOGV_EXPR by ACT; NULL: there are none
	uint32_t nvalues;
};
/* "capture request header": what is kept of the first field of that name. */
struct px_capture {
	struct sl_str name; // empty: filled by rules only
	uint32_t len;
};

struct proxy {
	struct src_pos pos;
	struct sl_str name;
	uint32_t id;      // as HAProxy's uuid, from 1... in order
	uint32_t index;   // in the model's proxies
	uint32_t slot;    // index of its run-time state, and of its counters as a frontend
	uint32_t be_slot; // of its counters as a backend: another one in "listen"
	uint32_t since, be_since; // generations in which it got these slots; 0: at start
	uint32_t caps; // PX_CAP_*
	enum px_mode mode;
	uint32_t options; // PX_O_*
	struct px_timeouts timeout;
	struct px_keepalive keep_client, keep_server; // with PX_O_CLITCPKA, PX_O_SRVTCPKA
	uint32_t maxconn;                             // frontend: 0 = the global one
	uint32_t retries;
	struct sl_str forwardfor_hdr;
	struct ip_net forwardfor_except; // family ADDR_NONE: none
	bool forwardfor_ifnone;
	uint32_t log_mask; // targets of its records; 0: no records
	struct sl_str log_tag;
	const struct log_format *log_fmt;   // NULL: the default line
	const struct log_format *log_err;   // of what never was a request; NULL: log_fmt
	const struct log_format *log_sd;    // structured data of RFC 5424, or NULL
	const struct log_format *unique_id; // or NULL
	struct sl_str unique_id_hdr;
	const struct px_capture *req_cap, *res_cap;
	uint32_t nreq_cap, nres_cap;
	uint32_t nlog_values; // 0: its records have none; else captures and all expressions
	bool log_bc;          // its records tell our address towards the server

	const struct listen_addr *binds;
	uint32_t nbinds;
	const struct server *servers;
	uint32_t nservers;
	enum lb_kind lb;
	struct lb_hash hash;
	struct httpchk httpchk;

	/* Rule programs by evaluation point; NULL: no rule. */
	const struct prog *tcp_req, *tcp_res;      // "tcp-request content", "tcp-response content"
	uint32_t inspect_delay_ms, inspect_res_ms; // how long they may wait for bytes; 0: not at all
	const struct prog *http_req;
	const struct prog *http_res;
	const struct prog *http_after; // never suspends
	const struct be_switch *switches;
	uint32_t nswitches;
	const struct proxy *default_be;
	const struct http_page *page[HTTP_ERRORS]; // by http_error_index(); NULL: none of its own
};

/* A port section: fixed at start. */
#define MODEL_TAP_ADDRS 8u
struct port_conf {
	struct src_pos pos;
	struct sl_str name;
	struct sl_str device; // "net_tap0,iface=x" or "0000:3b:00.0"
	struct src_pos device_pos;
	struct ip_net *addrs;
	uint32_t naddrs;
	struct ip_addr gateway4, gateway6; // family ADDR_NONE: none
	struct ip_route *routes;
	uint32_t nroutes;
	struct ip_neigh *neighs; // static ones
	uint32_t nneighs;
	uint16_t mtu;
	uint16_t vlan;   // 0: untagged
	uint8_t offload; // enum port_offload of drivers/port.h
	uint8_t tso;     // likewise
	struct sl_str tap; // "kernel-tap": interface for what is not ours; empty: none
	uint32_t tap_rate; // frames per second of a class
	struct ip_net tap_addr[MODEL_TAP_ADDRS];
	uint32_t ntap_addrs;
};

/* Of a "log stdout|stderr …" line, as HAProxy's "format". */
enum log_form {
	LOG_RFC3164, // HAProxy's default
	LOG_RFC5424,
	LOG_PRIORITY,
	LOG_SHORT,
	LOG_TIMED,
	LOG_ISO,
	LOG_RAW,
	LOG_LOCAL, // rfc3164 without the host's name
	LOG_NR_FORMS
};
enum log_kind {
	LOG_TO_STDOUT,
	LOG_TO_STDERR,
	LOG_TO_FD,    // a descriptor that was inherited
	LOG_TO_DGRAM, // syslog: UDP, or a path
	LOG_TO_RING,
};
#define LOG_TARGETS 32 // of all lines; a proxy's are a mask of them
struct log_target {
	enum log_kind kind;
	enum log_form form;
	int fd;
	struct ip_port addr; // the host's
	uint8_t facility;    // as syslog numbers them: kern 0 .. local7 23
	uint8_t level,
		min_level; // messages above `level` are dropped, those below min_level raised to it
	uint32_t len;      // longest line
	struct sl_str ring; // LOG_TO_RING: its name
};

/* A "ring" section: lines in memory, and servers that each get them all. */
struct ring_server {
	struct src_pos pos;
	struct sl_str name;
	struct ip_port addr; // the host's
	bool octet_count;    // framing of RFC 6587 3.4.1; else a newline behind each line
};
struct ring_conf {
	struct src_pos pos;
	struct sl_str name, description;
	enum log_form form;
	uint32_t maxlen; // of a line with its head
	uint32_t size;   // bytes of the buffer
	uint32_t connect_ms, server_ms; // 0: never
	const struct ring_server *server;
	uint32_t nservers;
};

struct cpu_map {
	bool set;
	uint64_t mask[16]; // CPUs 0..1023
};

/* Where the runtime API listens ("stats socket"); used by control/cli only. */
enum cli_level { CLI_USER, CLI_OPER, CLI_ADMIN };
enum cli_bind_kind { CLI_BIND_UNIX, CLI_BIND_ABNS, CLI_BIND_TCP, CLI_BIND_FD };
enum cli_severity { CLI_SEVERITY_NONE, CLI_SEVERITY_NUMBER, CLI_SEVERITY_STRING };
int cli_severity_of(struct sl_str word); // of its word; -EINVAL: another one
struct cli_bind {
	struct src_pos pos;
	struct sl_str text; // as it was written, for "show cli sockets"
	enum cli_bind_kind kind;
	struct sl_str path;  // unix, abns
	struct ip_port addr; // TCP
	int fd;              // inherited
	uint32_t mode;       // of the file; 0: as the umask says
	int64_t uid, gid;    // -1: unchanged
	enum cli_level level;
	enum cli_severity severity; // what messages begin with
	bool master; // of "-S": speaks as HAProxy's master, too
};

/* Generations that may live at a time; each has a place, for what workers count of it. */
#define MODEL_GENERATIONS 64u
#define MODEL_HEALTH_BACKENDS 8u
/* The global section. */
struct global_conf {
	uint32_t nbthread;       // 1..64
	uint32_t script_threads; // 1..16
	uint32_t maxconn;
	uint32_t mbufs; // packet buffers of each worker; 0: by the ports
	bool busy_polling, daemon, quiet;
	uint32_t uid, gid;       // to run as; 0: unchanged
	struct sl_str chroot;    // empty: none
	struct sl_str pidfile;
	struct sl_str dpdk_eal;     // extra arguments
	struct cpu_map cpu_map[64]; // per worker
	uint32_t lua_forced_yield;  // instructions per slice
	uint32_t lua_session_timeout_ms, lua_burst_timeout_ms;
	uint32_t lua_task_timeout_ms; // 0: none
	uint32_t lua_service_timeout_ms, lua_stuck_timeout_ms, lua_load_timeout_ms;
	uint32_t lua_runaway_share; // per cent
	uint32_t lua_maxmem_mb;
	bool lua_socket_compat; // HAProxy's words and forms instead of LuaSocket's
	uint32_t lua_sockets;   // of all scripts together
	uint32_t lua_deadline_ms;
	uint64_t lua_max_instructions;         // per call; 0: no limit
	uint8_t lua_on_error, lua_on_overload; // defaults of rules: enum call_policy (proxy/call.h)
	uint16_t lua_error_status, lua_overload_status; // with CALL_POLICY_STATUS
	struct sl_str lua_prepend_path, lua_prepend_cpath;
	bool lua_bool_normal;    // booleans of samples are booleans in scripts
	bool lua_blocking_error; // functions that block are refused once traffic runs
	uint32_t ncall_slots;    // per worker and script thread
	struct log_target log_target[LOG_TARGETS]; // each once
	uint32_t nlog_targets;
	uint32_t log_mask; // those of the global section
	const struct ring_conf *ring;
	uint32_t nrings;
	uint32_t hard_stop_ms;      // "hard-stop-after"; 0: never
	uint32_t grace_ms;          // "grace": between SIGUSR1 and the soft stop
	struct sl_str health_file;  // there while traffic is welcome; empty: none
	struct sl_str health_backend[MODEL_HEALTH_BACKENDS];
	uint32_t nhealth_backends; // each needs a server; 0: one of all
	uint32_t reload_timeout_ms; // "tune.reload.timeout": of loading; 0: none
	struct sl_str log_tag;           // empty: the program's name
	struct sl_str node, description; // for statistics; may be empty
	const struct cli_bind *cli_binds;
	uint32_t ncli_binds;
	uint32_t cli_timeout_ms;    // "stats timeout"
	uint32_t cli_maxconn;       // "stats maxconn"
	uint32_t cli_share;         // "tune.cli.cpu-share": per cent
	const struct tcp_conf *tcp; // "tune.tcp.*" (tcp/tcp.h); NULL: all as it is by default
};

struct model {
	uint32_t generation;
	uint16_t place;   // below MODEL_GENERATIONS; no two that live have the same
	uint32_t changed; // the latest of its objects' `since` and `moved`
	struct global_conf global;
	const struct port_conf *ports;
	uint32_t nports;
	const struct proxy *const *proxies; // in order of the file
	uint32_t nproxies;
	uint32_t npx_counters;                  // sets of counters: slots and be_slots
	const struct listen_addr *const *binds; // all of them
	uint32_t nbinds;
	uint32_t nservers; // server slots in use
	void *lua;         // opaque to workers: the states of this generation (control/script)
	struct call_fn_count *lua_fn; // counters by function (proxy/call.h); NULL: none
	struct pat_set *pats; // files of patterns (expr/patset.h)
	struct proc_vars *procs; // variables of scope proc (expr/expr.h)
	struct arena_map *mem;
};

const struct proxy *model_find_proxy(const struct model *m, struct sl_str name, uint32_t caps);
