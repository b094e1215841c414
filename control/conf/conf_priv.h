/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to control/conf: the loader's context, drafts of what is being read, keyword rows.
 *
 * One thread. Everything that outlives the load is in c->mem (the generation's arena); drafts and
 * throw-away programs are in c->tmp. An error is reported where it is seen and reading goes on, so
 * that one run shows them all; the model is frozen only when there was none.
 */
#pragma once

#include "control/conf/conf.h"
#include "control/conf/conf_text.h"
#include "control/script/script.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/keyword.h"
#include "dataplane/base/registry.h"
#include "dataplane/proxy/action.h"

#define CONF_MAX_WORDS 64 // HAProxy's; a longer line is refused
#define CONF_MAX_TEXT  1024

/* Sections, as bits for the rows. */
#define CONF_GLOBAL    0x01u
#define CONF_DEFAULTS  0x02u
#define CONF_FRONTEND  0x04u
#define CONF_BACKEND   0x08u
#define CONF_LISTEN    0x10u
#define CONF_PORT      0x20u
#define CONF_ERRORS    0x40u
#define CONF_RING      0x80u
#define CONF_FE        (CONF_FRONTEND | CONF_LISTEN)
#define CONF_BE        (CONF_BACKEND | CONF_LISTEN)
#define CONF_PROXY     (CONF_FE | CONF_BE)
#define CONF_ANY_PX    (CONF_PROXY | CONF_DEFAULTS)

struct conf;

/* What a keyword's parser gets. */
struct conf_args {
	const char *kw;            // the whole keyword: "timeout client"
	const struct sl_str *word; // arguments after the keyword
	uint32_t n;
	bool no;         // "no …"
	bool to_default; // "default …"
	uintptr_t priv;  // of the row
};

/*
 * One keyword of a section. Registered by section kind, because HAProxy uses the same word in
 * several (maxconn, log, mode).
 */
struct conf_kw {
	const char *name;  // one or more words
	uint32_t sections; // where it may stand
	uint8_t min, max;  // number of arguments; max CONF_MANY: any
	int (*parse)(struct conf *c, const struct conf_args *a);
	const char *args; // for messages and the reference: "<time>"
	const char *help;
	uintptr_t priv;
	uint32_t flags; // CONF_KW_*
};
#define CONF_MANY    255
#define CONF_KW_NO   0x1u // may be negated
#define CONF_KW_FE   0x2u // needs a frontend: elsewhere a warning, as HAProxy
#define CONF_KW_BE   0x4u // needs a backend: likewise
#define CONF_KW_HTTP 0x8u

/* The words after an address of "bind" or "server". */
struct conf_opt {
	const char *name;
	uint8_t nargs; // 0 or 1
	/* obj: struct listen_addr draft (bind) or struct server (server). value: with nargs 1. */
	int (*parse)(
		struct conf *c, void *obj, const char *name, struct sl_str value, uintptr_t priv);
	const char *args;
	const char *help;
	uintptr_t priv;
};

#define SL_CFG_GLOBAL(...) SL_KWTAB(conf_global, struct conf_kw, __VA_ARGS__)
#define SL_CFG_PROXY(...)  SL_KWTAB(conf_proxy, struct conf_kw, __VA_ARGS__)
#define SL_CFG_PORT(...)   SL_KWTAB(conf_port, struct conf_kw, __VA_ARGS__)
#define SL_CFG_ERRORS(...) SL_KWTAB(conf_errors, struct conf_kw, __VA_ARGS__)
#define SL_CFG_RING(...)   SL_KWTAB(conf_ring, struct conf_kw, __VA_ARGS__)
#define SL_CFG_BIND(...)   SL_KWTAB(conf_bind, struct conf_opt, __VA_ARGS__)
#define SL_CFG_SERVER(...) SL_KWTAB(conf_server, struct conf_opt, __VA_ARGS__)

struct conf_tables {
	struct registry global, proxy, port, errors, ring, bind, server;
};
const struct conf_tables *conf_tables(void);

/* ---- drafts ---- */

/* A rule as it was written: compiled for its errors at once, for use when all ACLs are known. */
struct conf_rule {
	struct conf_rule *next;
	struct src_pos pos;
	const struct sl_str *word; // the action's name first
	uint32_t n;
};
struct conf_rules {
	struct conf_rule *first, **last;
};

/* What carries an address: "host@" and "port@" say, else it is seen from the ports. */
enum conf_via { VIA_AUTO, VIA_HOST, VIA_PORT };

struct conf_bind {
	struct conf_bind *next;
	struct listen_addr a;
	enum conf_via via;
	bool v4v6;
};

struct conf_srv {
	struct conf_srv *next;
	struct server s;
	enum conf_via via;
};

struct conf_switch {
	struct conf_switch *next;
	struct src_pos pos;
	struct sl_str name;
	bool dynamic;
	const struct sl_str *cond; // if/unless first; n == 0: always
	uint32_t n;
};

struct conf_hdr {
	struct conf_hdr *next;
	struct sl_str name, value;
};

/* A section "http-errors". */
struct conf_errors {
	struct conf_errors *next;
	struct src_pos pos;
	struct sl_str name;
	const struct http_page *page[HTTP_ERRORS];
};

/* A line about pages: one for a status, or those of a section. */
struct conf_page {
	struct conf_page *next;
	struct src_pos pos;
	const struct http_page *page; // NULL: those of `group`
	struct sl_str group;
	uint32_t only; // bits of http_error_index(); 0: all that the section has
};

/* A log format as it was written; text NULL: none. */
struct conf_fmt {
	struct sl_str text;
	struct src_pos pos;
};

/* A proxy, or a defaults section (then p holds what proxies inherit). */
struct conf_px {
	struct conf_px *next;
	uint32_t section; // CONF_DEFAULTS, CONF_FRONTEND, …
	struct src_pos pos;
	struct proxy *p;
	/* inherited */
	struct server srv_defaults;
	struct sl_str default_be;
	struct src_pos default_be_pos;
	bool log_global;
	uint32_t log_mask; // of its own lines
	struct sl_str hash_expr; // "balance hash"
	struct src_pos hash_pos;
	struct src_pos httplog_pos; // option httplog
	struct conf_fmt log_fmt, log_err, log_sd, unique_id;
	struct sl_str chk_body;
	struct conf_hdr *chk_hdr;
	struct conf_page *pages; // the newest first
	/* own */
	bool has_id;
	struct acl_scope *acls;
	struct px_capture *req_cap, *res_cap; // LOG_MAX_VALUES at most
	struct conf_rules tcp_req, tcp_res, http_req, http_res, http_after, redirects;
	struct conf_bind *binds, **bind_last;
	struct conf_srv *srvs, **srv_last;
	struct conf_switch *switches, **switch_last;
	uint32_t seen; // PX_SEEN_*: for the warnings about order
};
#define PX_SEEN_REDIRECT 0x1u
#define PX_SEEN_SWITCH   0x2u
#define PX_SEEN_MODE     0x4u

struct conf_port {
	struct conf_port *next;
	struct port_conf p;
	struct ip_net addr[32];
	struct ip_route route[32];
	struct ip_neigh neigh[32];
	struct src_pos addr_pos[32], route_pos[32], neigh_pos[32], gateway4_pos, gateway6_pos;
};

struct conf_lua {
	struct conf_lua *next;
	struct src_pos pos;
	struct sl_str file;
	const struct sl_str *arg;
	uint32_t narg;
	bool per_thread;
};

/* The section that is being read. */
struct conf {
	const struct conf_spec *spec;
	struct conf_count *count;
	struct model *m;
	struct arena mem; // of the model
	struct arena_map *tmp_map;
	struct arena tmp;
	bool nomem;
	bool zero_warning;

	struct src_pos pos;
	uint32_t section;            // 0: none yet, or an unknown one
	bool skip;                   // its head was wrong: its lines are not looked at
	const char *section_name;    // "frontend"
	struct sl_str section_ident; // its name, or its kind
	struct conf_px *px;
	struct conf_port *port;
	struct conf_errors *errors;
	struct conf_ring *ring; // kw_ring.c

	struct conf_px *proxies, **px_last;
	/* The last proxy before the first "stats socket", whose own proxy takes the next number. */
	const struct conf_px *before_cli;
	bool has_cli;
	struct src_pos health_pos; // of "health-file"
	struct conf_px *defaults;      // newest first
	struct conf_px *anon_defaults; // the one that applies
	struct conf_port *ports, **port_last;
	struct conf_errors *errors_all;
	struct conf_ring *rings, **ring_last;
	struct src_pos log_pos[LOG_TARGETS]; // of the line that named a target first

	struct script_gen *lua;
	bool lua_configured;
	struct conf_lua *loads, **load_last;
	struct sl_str cfgfiles;
	struct expr_diag diag;
	struct expr_extern ext;
	const char *what; // what an expression's error is about; "": nothing
};

static inline bool
conf_cancelled(const struct conf *c)
{
	return c->spec->cancel != NULL &&
		atomic_load_explicit((_Atomic(bool) *)(uintptr_t)c->spec->cancel,
			memory_order_relaxed);
}

/* ---- diag.c ---- */
void conf_error(struct conf *c, const char *fmt, ...) sl_printf(2, 3);
void conf_warning(struct conf *c, const char *fmt, ...) sl_printf(2, 3);
void conf_notice(struct conf *c, const char *fmt, ...) sl_printf(2, 3);
/* At another place; pos NULL: without "parsing [file:line] : ". */
void conf_error_at(struct conf *c, const struct src_pos *pos, const char *fmt, ...) sl_printf(3, 4);
void conf_warning_at(struct conf *c, const struct src_pos *pos, const char *fmt, ...)
	sl_printf(3, 4);
/* "; did you mean 'x' maybe ?", or `end` when row (its first member is the name) is NULL. */
struct conf_hint {
	char text[96];
};
struct conf_hint conf_hint(const void *row, const char *end);
/* Counted, told once; returns -ENOMEM. */
int conf_nomem(struct conf *c);
/* expr_diag.error with a struct conf. */
void conf_expr_error(void *ctx, struct sl_str word, const char *text);

/* ---- parser.c ---- */
int conf_parse_text(struct conf *c, const char *file, struct sl_str text);
int conf_parse_path(struct conf *c, const char *path);
/* Longest row whose words are at word[0..]; *used: how many. */
const struct conf_kw *conf_find(
	const struct registry *r, const struct sl_str *word, uint32_t n, uint32_t *used);
void conf_unknown(struct conf *c, const struct sl_str *word, uint32_t n);

/* ---- section.c ---- */
/* Begins a section if word[0] names one: 1; 0: no section keyword; negative: error. */
int conf_section_begin(struct conf *c, const struct sl_str *word, uint32_t n);
void conf_section_end(struct conf *c);

/* ---- unsupported.c ---- */
enum unsup_scope {
	UNSUP_SECTION,
	UNSUP_GLOBAL,
	UNSUP_PROXY,
	UNSUP_OPTION,
	UNSUP_BIND,
	UNSUP_SERVER,
	UNSUP_ACTION,
	UNSUP_BALANCE,
	UNSUP_FETCH,
	UNSUP_CONV,
};
struct unsup {
	enum unsup_scope scope;
	const char *name;
	const char *why;
	bool ignored;  // accepted: nothing of the traffic depends on it
	uint8_t nargs; // words that belong to an ignored bind or server option
};
/* The entry that matches the beginning of the words, NULL if HAProxy 2.6 has none either. */
const struct unsup *unsup_find(enum unsup_scope scope, const struct sl_str *word, uint32_t n);
/* Tells: an error, or a notice when it is ignored. */
void unsup_tell(struct conf *c, const struct unsup *u, const char *kind);
uint32_t unsup_count(void);
const struct unsup *unsup_at(uint32_t i);

/* ---- page.c ---- */
/*
 * A file as it is, at most a buffer's size, in the model's memory; `what` begins the messages. 0,
 * -ENOMEM, or -EINVAL when it was told.
 */
int page_read(struct conf *c, const char *what, struct sl_str path, struct sl_str *out);
/* An answer from a file; NULL: it was told why not. */
const struct http_page *page_from_file(struct conf *c, const char *what, struct sl_str path);
/* A redirection; NULL: no memory. */
const struct http_page *page_to_location(struct conf *c, uint16_t status, struct sl_str url);

/* ---- kw_errors.c ---- */
void conf_errors_begin(struct conf *c, const struct sl_str *word, uint32_t n);
const struct conf_errors *conf_errors_find(const struct conf *c, struct sl_str name);
/* What the lines of a proxy come to, in its model. */
void conf_errors_build(struct conf *c, struct conf_px *px);

/* ---- units.c ---- */
/* A number from min to max goes into the uint32_t of the global section at a->priv, AT_GLOBAL(). */
int conf_global_number(struct conf *c, const struct conf_args *a, uint64_t min, uint64_t max);
#define AT_GLOBAL(field) offsetof(struct global_conf, field)

/* ---- rules.c ---- */
/* Where errors of expressions go. */
struct expr_diag conf_diag(struct conf *c);
/* What expressions of a proxy are compiled with; programs go to mem. */
struct expr_comp conf_comp(
	struct conf *c, struct conf_px *px, struct arena *mem, enum eval_point point);
int rules_add(struct conf *c, struct conf_rules *r, const char *ruleset, enum eval_point point,
	const struct sl_str *word, uint32_t n);
/* All rules of a list, then those of a second one (may be NULL), as one program. */
int rules_compile(struct conf *c, struct conf_px *px, const struct conf_rules *r,
	const struct conf_rules *also, enum eval_point point, const struct prog **out);
/* Checks or compiles the condition of use_backend; n == 0: *out = NULL. */
int cond_compile(struct conf *c, struct conf_px *px, struct arena *mem, const struct sl_str *word,
	uint32_t n, enum eval_point point, const struct prog **out);
int fmt_compile(struct conf *c, struct conf_px *px, struct arena *mem, struct sl_str text,
	enum eval_point point, const struct prog **out);
/* Index of the first if/unless at or after `from`, or n. */
uint32_t cond_find(const struct sl_str *word, uint32_t n, uint32_t from);

/* ---- kw_lua.c ---- */
/* Runs the lua-load lines that were read; before the first thing that may name their functions. */
void conf_lua_load(struct conf *c);
void conf_lua_ready(struct conf *c);

/* ---- kw_log.c ---- */
int conf_log_parse(struct conf *c, const struct conf_args *a, struct log_target *out);
/* enum log_form, or -ENOENT. */
int conf_log_form(struct sl_str name);

/* ---- kw_ring.c ---- */
void conf_ring_begin(struct conf *c, const struct sl_str *word, uint32_t n);
void conf_ring_end(struct conf *c);
/* All sections are read: the model's rings, and whether those that lines go to are there. */
void conf_ring_build(struct conf *c);

/* ---- kw_stats.c ---- */
/* "-S": a socket of the runtime API that speaks as HAProxy's master. */
int conf_master_socket(struct conf *c, const char *text);

/* ---- kw_logformat.c ---- */
/* Compiles the formats of a proxy's records. */
void conf_log_build(struct conf *c, struct conf_px *px);
/*
 * The words of a rule, but "capture … len <n>" becomes "capture … id <place>" with a place of its
 * own. out: room for n. 0 or -EINVAL.
 */
int conf_capture_rule(struct conf *c, const struct sl_str *word, uint32_t n, struct sl_str *out);

/* ---- kw_check.c ---- */
void conf_check_build(struct conf *c, struct conf_px *px);

/* ---- kw_balance.c ---- */
/* Compiles what is hashed, and its tables; the servers are known. */
void conf_balance_build(struct conf *c, struct conf_px *px);

/* ---- build.c ---- */
int conf_build(struct conf *c);
/* ---- build_net.c ---- */
void conf_build_net(struct conf *c);
/* kw_tap.c: the backends of "health-file". */
void conf_check_health(struct conf *c);
