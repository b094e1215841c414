/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DOOR of dataplane/expr (patterns from files): lists and maps that change while programs use them.
 *
 * A generation has one set of files, each once, whoever names it: ACLs ("-f"), map converters, scripts,
 * the runtime API. A view is a file compiled for one way of matching; workers read its list by one
 * atomic load. An edit compiles all views of the file anew and publishes them; what they had before is
 * freed after a grace (pat_set_retire()). Editing costs a walk over the whole file.
 *
 * Threads: workers only match; all else on control and script threads, under the set's lock.
 */
#pragma once

#include "dataplane/base/buf.h"
#include "dataplane/expr/expr.h"

enum pat_method {
	PAT_FOUND,
	PAT_BOOL,
	PAT_INT,
	PAT_IP,
	PAT_BIN,
	PAT_LEN,
	PAT_STR,
	PAT_BEG,
	PAT_SUB,
	PAT_DIR,
	PAT_DOM,
	PAT_END,
	PAT_REG,
	PAT_NR // none chosen
};

/* Lists that wait for their grace hold at most so many items; then edits are refused. */
#define PAT_RETIRED_MAX  (1u << 22)
#define PAT_RETIRED_LIST 1024u // counted for a list, beside its items: it has pages of its own
/* What scripts and rules have put into a file holds at most so many bytes; then they are refused more. */
#define PAT_GROWN_MAX (32u << 20)

struct pat_set;
struct pat_file;
struct pat_view;

struct pat_set *pat_set_new(void);
void pat_set_free(struct pat_set *s);
/*
 * Main: moves what edits left behind to where it waits; false: there is nothing. When all workers have
 * passed a quiescent point since: pat_set_release(). Both return false at once when another thread has the
 * set's lock, as pat_set_serve() returns 0: main tries again later.
 */
bool pat_set_retire(struct pat_set *s);
bool pat_set_release(struct pat_set *s);

/* ---- loading ---- */
/*
 * The file of that path, read once. map: "key value" lines. 0; -ENOMEM; -EINVAL with a text: it cannot
 * be read, or is there as the other kind; -EPERM: a new one, and the set is closed.
 */
int pat_file_open(
	struct pat_set *s, struct sl_str path, bool map, struct pat_file **out, struct sl_buf *why);
/* -1, or the number that the runtime API knows the file by. 0, or -EEXIST. */
int pat_file_number(struct pat_file *f, int32_t id);
/*
 * The line that names files from now on: views that it asks for are told as its ("show map"). path NULL:
 * none is. The path must live as long as the set.
 */
void pat_set_place(struct pat_set *s, const char *path, uint32_t line);
/* How a file is to be matched. */
struct pat_how {
	enum pat_method m;
	bool icase;
	bool expand;          // PAT_REG of a map: the value has \\1
	enum sample_type out; // of a map's values: T_STR, T_SINT or T_ADDR; T_ANY: not a map
};
/* 0; -ENOMEM; -EINVAL with a text: a line is no such pattern or value. */
int pat_file_view(struct pat_file *f, const struct pat_how *how, const struct pat_view **out,
	struct sl_buf *why);
/* The generation is complete: no more files. */
void pat_set_close(struct pat_set *s);

/* ---- use ---- */
/* Worker: the value for a sample of the type that the method needs; false: there is none. */
bool pat_view_find(
	const struct pat_view *v, const struct sample *in, struct sample *out, struct arena *mem);
/* The same elsewhere: copies into out (text, also of numbers); false: none, or no room. */
bool pat_view_text(const struct pat_view *v, struct sl_str key, struct sl_buf *out);

/* ---- the runtime API and scripts ---- */
/* By path, or by "#number"; NULL: none of this kind. */
struct pat_file *pat_set_find(struct pat_set *s, struct sl_str name, bool map);
/*
 * One change. ver 0: of what is in force, else of a prepared version. By key, or (key.p NULL) by the id
 * of an entry. `bounded`: of a script or a rule, whose entries count for PAT_GROWN_MAX (an operator's do
 * not). 0; -ENOENT; -ENOMEM; -EAGAIN: too much waits for its grace; -ENOSPC: over that bound; -EINVAL with a
 * text.
 */
enum pat_op { PAT_ADD, PAT_SET, PAT_PUT, PAT_DEL, PAT_CLEAR }; // PUT: set, or else add
struct pat_edit {
	enum pat_op op;
	bool bounded;
	uint32_t ver;
	uint64_t id;
	struct sl_str key, value;
};
/* All of them or none; -Exxx of the first that fails. */
int pat_file_edit(struct pat_file *f, const struct pat_edit *e, uint32_t n, struct sl_buf *why);
/*
 * Rules that change files. Loader: the set has such rules; 0 or -ENOMEM. Worker: main makes that change
 * soon; false: the queue is full (PAT_ASKS), or key and value are longer than PAT_ASK_TEXT. Main: makes up
 * to max of those changes; how many it has taken. What cannot be made for want of memory, or of a grace
 * of lists, waits in the queue.
 */
#define PAT_ASKS     1024u
#define PAT_ASK_TEXT 1024u
int pat_set_asks(struct pat_set *s);
bool pat_file_ask(struct pat_file *f, enum pat_op op, struct sl_str key, struct sl_str value);
uint32_t pat_set_serve(struct pat_set *s, uint32_t max);
/* Main: how many, since it asked last, could not be made, but for want of such a key. */
uint32_t pat_set_refused(struct pat_set *s);
/* A new, empty version; commit: it is in force, older ones are gone. 0 or -EINVAL: no such version. */
uint32_t pat_file_prepare(struct pat_file *f);
int pat_file_commit(struct pat_file *f, uint32_t ver);

/* ---- listing ---- */
struct pat_file_info {
	int32_t id;
	struct sl_str path;
	bool map;
	uint32_t ver, next_ver, entries;
};
/* By place, from 0; NULL behind the last. */
struct pat_file *pat_set_at(struct pat_set *s, uint32_t i);
void pat_file_info(const struct pat_file *f, struct pat_file_info *out);
/* The lines that use it, in their order; false behind the last. */
bool pat_file_use(const struct pat_file *f, uint32_t i, const char **path, uint32_t *line);
/* each() is called under the lock. ver 0: those in force. */
void pat_file_entries(const struct pat_file *f, uint32_t ver,
	void (*each)(void *ctx, uint64_t id, struct sl_str key, struct sl_str value), void *ctx);
/* What a key finds in the i-th view; false behind the last. */
struct pat_found {
	const char *method;
	bool icase, found, tree;
	struct sl_str key, value; // valid until the next edit: main may copy them under no lock
	enum sample_type out;
};
bool pat_file_get(const struct pat_file *f, uint32_t i, struct sl_str key,
	void (*tell)(void *ctx, const struct pat_found *r), void *ctx);
