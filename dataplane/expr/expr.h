/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/expr: sample expressions, conditions and formats, compiled once into one
 * linear program, evaluated per request, suspendable at any CALL.
 *
 * Compile functions run on control threads (cold); prog_run() runs on workers; rows marked PURE or
 * SHARED also run on script threads over a snapshot.
 */
#pragma once

#include "dataplane/base/addr.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/keyword.h"
#include "dataplane/base/rand.h"
#include "dataplane/base/registry.h"
#include "dataplane/base/str.h"
#include "dataplane/base/tick.h"
#include "dataplane/expr/value.h"
#include "dataplane/http/http.h"

/* ---- what an expression may look at ---- */

struct proxy; // model.h
struct pat_view; // patset.h
struct regex; // regex.h
struct server;
struct stream; // proxy.h; only OWNER rows may follow it

/* When an expression runs; also which messages exist. */
enum eval_point {
	EVAL_NONE,
	EVAL_CONF, // while loading, and in the runtime API: nothing but what the process knows
	EVAL_TCP_CONN,
	EVAL_TCP_CONTENT,
	EVAL_HTTP_REQ,
	EVAL_BE_SWITCH, // use_backend
	EVAL_HTTP_RES,
	EVAL_HTTP_AFTER,
	EVAL_LOG,
	EVAL_TCP_RES, // "tcp-response content"
	EVAL_NR
};
#define EVAL_BIT(p) (1u << (p))
/* As in HAProxy the heads are gone when a record is made: captures and variables keep of them. */
#define EVAL_ANY_REQ                                                                    \
	(EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_BE_SWITCH) | EVAL_BIT(EVAL_HTTP_RES) | \
		EVAL_BIT(EVAL_HTTP_AFTER))
#define EVAL_ANY_RES  (EVAL_BIT(EVAL_HTTP_RES) | EVAL_BIT(EVAL_HTTP_AFTER))
#define EVAL_REQ_LOG (EVAL_ANY_REQ | EVAL_BIT(EVAL_LOG))
#define EVAL_RES_LOG (EVAL_ANY_RES | EVAL_BIT(EVAL_LOG))
#define EVAL_ANY    (~0u)
#define EVAL_STREAM (~EVAL_BIT(EVAL_CONF)) // needs a connection

/*
 * Read-only view of a transaction: what fetches read. A live one hangs from the stream; a copied
 * one from a call slot (then stream is NULL, and only PURE and SHARED rows may run).
 */
struct txn_view {
	const struct http_msg *req; // NULL in mode tcp
	const struct http_msg *res; // NULL before the response head
	struct ip_port src, dst;    // client side
	const struct proxy *fe, *be;
	const struct server *srv;
	struct vars *vars;
	struct sl_rand *rand;   // of the running thread
	uint64_t now_us;        // monotonic
	uint64_t wall_us;       // since the epoch
	uint32_t unique;        // id of the stream
	struct stream *stream;  // owner only
	bool partial;           // of its bytes more may come, and rules may wait for them
};

/* ---- rows ---- */

enum arg_type {
	ARG_END,
	ARG_SINT,
	ARG_STR,
	ARG_TIME, // "10s" in milliseconds, in i
	ARG_NET,
	ARG_VAR,    // "txn.name": scope, and the name in s
	ARG_INTVAR, // in a spec only: becomes ARG_SINT or ARG_VAR
	ARG_IP,     // in a spec only: becomes ARG_NET, as do the next four
	ARG_IP4,
	ARG_IP6,
	ARG_MASK4, // "24" or "255.255.255.0"; the bits in net.ip
	ARG_MASK6,
	ARG_MAP, // of converters: a file, compiled as the row says
	ARG_REG, // a regular expression; the argument after the next may hold 'i': ignore case
};
#define EXPR_MAX_ARGS 12
struct arg {
	enum arg_type type; // ARG_END: absent
	union {
		int64_t i;
		struct sl_str s;
		struct ip_net net;
		const struct regex *re;
		const struct pat_view *map; // of a compiled expression; before it is the path, in s
	};
	enum var_scope scope; // ARG_VAR
};
/* Declared arguments of a row: the first `min` are required. */
struct arg_spec {
	uint8_t min;
	uint8_t type[EXPR_MAX_ARGS]; // enum arg_type, ARG_END terminated
};
/*
 * Turns n texts into the arguments of a row; out must hold EXPR_MAX_ARGS + 1, all of them are set.
 * 0; -EINVAL: `why` says what is wrong ("expects 1 to 2 arguments: string, integer"); -ENOMEM.
 * An empty text stands for an argument that was left out.
 */
int expr_args_convert(const struct arg_spec *spec, const struct sl_str *text, uint32_t n,
	struct arena *mem, struct arg *out, struct sl_buf *why);
/*
 * A network as patterns are written ("10.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", IPv6): the masked
 * address and the mask. 0 or -EINVAL.
 */
int expr_net_parse(struct sl_str text, struct ip_addr *ip, uint64_t mask[2]);
#define SL_NOARGS { 0 }
#define SL_ARGS(nmin, ...) { .min = (nmin), .type = { __VA_ARGS__ } }

/* Where a row may run. */
enum where { WHERE_PURE, WHERE_SHARED, WHERE_OWNER };

struct fetch_row {
	const char *name;
	/* false: no sample. Strings may point into the view or come from mem. */
	bool (*fn)(const struct txn_view *v, const struct arg *args, struct sample *out,
		struct arena *mem, uintptr_t priv);
	struct arg_spec args;
	enum sample_type out;
	uint32_t points; // EVAL_BIT()s at which it has something to read
	enum where where;
	const char *help;
	uintptr_t priv; // for rows that share a function
	/*
	 * HAProxy lets an ACL name carry its match ("path_beg"): rows of that kind name the
	 * method here and fetch what `fn` says. Such a row exists in conditions only.
	 */
	const char *match;
	/*
	 * Several values: conditions look at all of them. *pos starts at 0 and is advanced behind
	 * the value returned; false at the end. NULL: fn's value is the only one.
	 */
	bool (*each)(const struct txn_view *v, const struct arg *args, uint64_t *pos,
		struct sample *out, struct arena *mem, uintptr_t priv);
	/* The value depends on the arguments alone: fn runs once, while compiling, v is NULL. */
	bool constant;
	/* What is wrong with the arguments, beyond their types; NULL if nothing. */
	const char *(*check)(const struct arg *args);
	/* It may set sample.changes: a condition on it can make rules on content wait. */
	bool waits;
	bool bytes; // of mode tcp only: it reads what a connection has received
};
#define SL_FETCHES(...) SL_KWTAB(fetch, struct fetch_row, __VA_ARGS__)

struct conv_row {
	const char *name;
	/* v: for variables named by arguments; v->vars may be NULL. */
	bool (*fn)(const struct txn_view *v, struct sample *s, const struct arg *args,
		struct arena *mem, uintptr_t priv);
	struct arg_spec args;
	enum sample_type in, out;
	enum where where;
	const char *help;
	uintptr_t priv;
	const char *(*check)(const struct arg *args); // as of a fetch
};
#define SL_CONVERTERS(...) SL_KWTAB(conv, struct conv_row, __VA_ARGS__)

/* Opens both registries; main thread, once. 0 or -EEXIST (text in *dup). */
int expr_init(const char **dup);
const struct registry *expr_fetches(void);
const struct registry *expr_convs(void);

/* ---- programs ---- */

/* Finds external functions (lua.NAME) while compiling; NULL members: none exist. */
struct http_page;

struct expr_extern {
	/*
	 * kind: 'f' fetch, 'c' converter, 'a' action. Returns an id >= 0 for the CALL, or
	 * -ENOENT. *points: where it may be called.
	 */
	int (*lookup)(void *ctx, char kind, struct sl_str name, uint32_t *points);
	/* Declared number of arguments of an action's id; NULL: any. */
	int (*nargs)(void *ctx, int id);
	void *ctx;
	/*
	 * What rules answer with: a file's bytes; an answer from a file; a table of answers by
	 * http_error_index(), which is complete only when the rules are compiled for use. They tell their
	 * own errors: -EINVAL, NULL.
	 */
	int (*file)(void *file_ctx, struct sl_str path, struct sl_str *out);
	const struct http_page *(*page)(void *file_ctx, struct sl_str path);
	const struct http_page *const *(*pages)(void *file_ctx, struct sl_str group);
	void *file_ctx;
};

/* Receives compile errors: text says what is wrong with which word. */
struct expr_diag {
	void (*error)(void *ctx, struct sl_str word, const char *text);
	void *ctx;
	/*
	 * Why a fetch ('f') or converter ('c') of this name is not there; NULL: nobody knows it.
	 * May be NULL itself.
	 */
	const char *(*absent)(void *ctx, char kind, struct sl_str name);
};

/* Where named ACLs are found. */
struct acl_scope;
struct pat_set;
struct pat_view;

struct expr_comp {
	struct arena *mem;             // of the generation
	const struct expr_extern *ext; // may be NULL
	const struct expr_diag *diag;
	const struct acl_scope *acls; // may be NULL
	struct pat_set *pats;         // files of patterns (patset.h); NULL: there can be none
	struct proc_vars *procs;      // where names of scope proc are declared; NULL: nowhere
	enum eval_point point;
	enum { EXPR_TCP, EXPR_HTTP, EXPR_ANY } mode; // of the proxy, for EVAL_TCP_CONTENT: in mode
						     // http a request's head is there
};

enum prog_op {
	OP_END,
	OP_FETCH,  // push; not found: push T_ANY
	OP_CONV,   // convert the top (T_ANY stays)
	OP_CAST,   // cast the top to n (T_ANY stays)
	OP_MATCH,  // pop, set flag by the pattern list in ptr (T_ANY: no match)
	OP_NOT,    // invert the flag
	OP_JF,     // jump to n if the flag is false
	OP_JT,     // jump to n if the flag is true
	OP_JMP,    // jump to n
	OP_LIT,    // push the sample that ptr points at
	OP_CONCAT, // pop n samples, push their concatenation as T_STR (T_ANY: "")
	/*
	 * Suspend: external function n, ptr is its prog_call. A fetch pushes the result, a
	 * converter replaces the top by it, an action leaves nothing.
	 */
	OP_CALL,
	OP_ACT,   // run action ptr with the n samples popped; see enum act_ret
	OP_EACH,  // push the next value of a fetch with several, T_ANY behind the last
	OP_AGAIN, // jump to n if the flag is false and OP_EACH had a value; else forget its place
	OP_TERM,  // behind a part of a condition that looks at bytes that still come; n: under a "!"
	OP_WAIT,  // behind such a condition: if it is open, PROG_WAIT; the program is to be started again
};

struct prog_insn {
	uint8_t op; // enum prog_op
	uint8_t depth; // stack depth before, checked at compile
	uint32_t n;
	const void *ptr;
};

/* Immutable after compile. */
struct prog {
	const struct prog_insn *code;
	uint32_t len;
	uint32_t max_stack;
	uint32_t ncalls; // 0: never suspends
};

/* An argument list of a CALL. */
struct prog_call {
	uint16_t fn;    // id from expr_extern
	uint8_t kind;   // 'f', 'c', 'a'
	uint8_t nargs;  // literal arguments
	struct sl_str args[EXPR_MAX_ARGS];
	const void *priv; // kind 'a': policy of the rule (proxy/call.h)
};

/* What an action did; values of HAProxy's act.* where they exist. */
enum act_ret {
	ACT_CONT,    // next instruction
	ACT_STOP,    // end this program, go on with the request
	ACT_SUSPEND, // wait: prog_resume() later continues behind this instruction
	ACT_DONE,    // the transaction was answered or ended by the action
};

struct act_row; // proxy/action.h

/* One evaluation in progress: what a parked stream keeps. */
#define PROG_STACK 24
struct prog_cursor {
	const struct prog *prog;
	uint32_t pc;
	uint8_t sp;
	bool flag;
	bool changes; // the value fetched last may become another
	bool unsure;  // an OP_MATCH of this part of a condition had such a value, and no match
	bool open;    // and the part had none at all
	uint64_t iter; // OP_EACH's place, 0 outside of its loop
	struct sample stack[PROG_STACK];
};

enum prog_status { PROG_END, PROG_SUSPENDED, PROG_STOPPED, PROG_DONE, PROG_NOMEM, PROG_WAIT };

struct prog_env {
	const struct txn_view *view;
	struct arena *mem;
	void *owner; // struct stream for actions
	/* Runs ACT. */
	enum act_ret (*act)(struct prog_env *e, const void *act, struct sample *args, uint32_t n);
	/*
	 * Starts CALL: ACT_SUSPEND (the result comes by prog_resume), or ACT_CONT with *out set
	 * (T_ANY: no value). in: the converter's input, NULL otherwise.
	 */
	enum act_ret (*call)(struct prog_env *e, const struct prog_call *c, const struct sample *in,
		struct sample *out);
};

void prog_start(struct prog_cursor *c, const struct prog *p);
enum prog_status prog_run(struct prog_cursor *c, struct prog_env *e);
/*
 * Continues behind the instruction that suspended; result: what the CALL returned (its strings
 * must live in e->mem; NULL: no value), ignored for an ACT and for actions. A completed step never
 * runs twice. Before a CALL starts, all strings of the stack are copied to e->mem, so that the head
 * may move while the program waits.
 */
enum prog_status prog_resume(struct prog_cursor *c, struct prog_env *e, const struct sample *result);

/* ---- compiling ---- */

/* Grows a program; begin, add pieces, end. All functions return 0 or -EINVAL after e->diag. */
struct prog_builder;
struct prog_builder *prog_begin(const struct expr_comp *e);
/* "src,ipmask(24)" */
int prog_add_expr(struct prog_builder *b, struct sl_str text, enum sample_type want);
/*
 * The expression at the beginning of text, up to the byte `end` behind it; pushes one sample of type
 * `want`. Returns the bytes before `end`, or -EINVAL.
 */
int prog_add_value(struct prog_builder *b, struct sl_str text, char end, enum sample_type want);
/* "text %[expr] text": a format as in http-request values; pushes one T_STR. */
int prog_add_fmt(struct prog_builder *b, struct sl_str text);
/* Words after if/unless: named ACLs, { anonymous }, !, or, ||. Leaves the result in the flag. */
int prog_add_cond(struct prog_builder *b, const struct sl_str *word, uint32_t n, bool unless);
/* Emits; n: jump target or count. Returns the index of the instruction. */
int prog_add_op(struct prog_builder *b, enum prog_op op, uint32_t n, const void *ptr);
/* Patches the jump at index `at` to the next instruction. */
void prog_patch(struct prog_builder *b, uint32_t at);
/* Freezes into arena memory; NULL after an error. */
const struct prog *prog_end(struct prog_builder *b);
/* Human-readable listing, for -dK and tests. */
void prog_dump(const struct prog *p, struct sl_buf *out);

/* A rule names a variable: one of the process is declared. 0, or -EINVAL after e->diag. */
int expr_declare(const struct expr_comp *e, enum var_scope scope, struct sl_str name);

/* ---- ACLs ---- */

/* Named ACLs of one proxy; same name again: OR. */
struct acl_scope *acl_scope_new(struct arena *mem);
/* "acl NAME words…". Errors go to e->diag. */
int acl_add(struct acl_scope *s, const struct expr_comp *e, struct sl_str name,
	const struct sl_str *word, uint32_t n);
