// SPDX-License-Identifier: BSD-3-Clause
/*
 * show, get, add, set, del, clear, prepare and commit of maps and of ACL files.
 *
 * Runs on: main. Changes hold until the configuration is loaded again, as in HAProxy.
 * Follows: HAProxy 2.6's answers. Only files are listed: patterns that stand in the configuration itself
 * cannot be changed.
 */
#include <stdlib.h>

#include "control/cli/cli_priv.h"
#include "dataplane/expr/patset.h"

/* priv: of a map? */
static bool
is_map(const struct cli_ctx *x)
{
	return x->priv != 0;
}

static struct pat_set *
set_of(const struct cli_ctx *x)
{
	return x->cli->s.model->pats;
}

/* Takes "@version" from the front. false after a message. */
static bool
take_version(struct cli_ctx *x, uint32_t *ver)
{
	uint64_t n;

	*ver = 0;
	if (x->n == 0 || x->arg[0].len == 0 || x->arg[0].p[0] != '@')
		return true;
	if (sl_str_u64(sl_str_make(x->arg[0].p + 1, x->arg[0].len - 1), &n) < 0 || n > UINT32_MAX) {
		cli_err(x, "Invalid generation number.");
		return false;
	}
	*ver = (uint32_t)n;
	x->arg++;
	x->n--;
	return true;
}

static struct pat_file *
find(struct cli_ctx *x, struct sl_str name)
{
	struct pat_file *f = set_of(x) != NULL ? pat_set_find(set_of(x), name, is_map(x)) : NULL;

	if (f == NULL)
		cli_errf(x, "Unknown %s identifier. Please use #<id> or <file>.",
			is_map(x) ? "map" : "ACL");
	return f;
}

static const char *
kind(const struct cli_ctx *x)
{
	return is_map(x) ? "map" : "ACL";
}

static bool
version_known(struct cli_ctx *x, const struct pat_file *f, uint32_t ver)
{
	struct pat_file_info i;

	pat_file_info(f, &i);
	if (ver <= i.next_ver)
		return true;
	cli_errf(x, "Version number in the future, please use 'prepare %s' before.",
		is_map(x) ? "map" : "acl");
	return false;
}

/* ---- show, get ---- */

static void
show_entry(void *ctx, uint64_t id, struct sl_str key, struct sl_str value)
{
	struct cli_ctx *x = ctx;

	cli_printf(x, "0x%012llx ", (unsigned long long)id);
	cli_str(x, key);
	if (is_map(x)) {
		cli_add(x->out, " ", 1);
		cli_str(x, value);
	}
	cli_add(x->out, "\n", 1);
}

static void
show_files(struct cli_ctx *x)
{
	struct pat_file_info i;
	struct pat_file *f;
	const char *path;
	uint32_t line;

	cli_msg(x, "# id (file) description");
	for (uint32_t k = 0; set_of(x) != NULL && (f = pat_set_at(set_of(x), k)) != NULL; k++) {
		pat_file_info(f, &i);
		if (i.map != is_map(x))
			continue;
		cli_printf(x, "%d (%.*s) pattern loaded from file '%.*s'", i.id, SL_STR_ARG(i.path),
			SL_STR_ARG(i.path));
		for (uint32_t u = 0; pat_file_use(f, u, &path, &line); u++)
			cli_printf(x, "%s by %s at file '%s' line %u", u == 0 ? " used" : ",",
				i.map ? "map" : "acl", path, line);
		cli_printf(x, ". curr_ver=%u next_ver=%u entry_cnt=%u\n", i.ver, i.next_ver, i.entries);
	}
}

static void
do_show(struct cli_ctx *x)
{
	struct pat_file *f;
	uint32_t ver;

	if (!take_version(x, &ver))
		return;
	if (x->n == 0) {
		show_files(x);
		return;
	}
	f = find(x, x->arg[0]);
	if (f != NULL)
		pat_file_entries(f, ver, show_entry, x);
}

static const char *
type_name(enum sample_type t)
{
	return t == T_SINT ? "sint" : t == T_ADDR ? "addr" : "str";
}

static void
tell_found(void *ctx, const struct pat_found *r)
{
	struct cli_ctx *x = ctx;

	cli_printf(x, "type=%s, case=%s, %s=%s", r->method, r->icase ? "insensitive" : "sensitive",
		is_map(x) ? "found" : "match", r->found ? "yes" : "no");
	if (r->found) {
		cli_printf(x, ", idx=%s, %s=\"%.*s\"", r->tree ? "tree" : "list",
			is_map(x) ? "key" : "pattern", SL_STR_ARG(r->key));
		if (is_map(x))
			cli_printf(x, ", value=\"%.*s\", type=\"%s\"", SL_STR_ARG(r->value),
				type_name(r->out));
	}
	cli_add(x->out, "\n", 1);
}

static void
do_get(struct cli_ctx *x)
{
	struct pat_file *f;

	if (x->n < 2) {
		cli_errf(x, "Missing %s identifier and/or key.", kind(x));
		return;
	}
	f = find(x, x->arg[0]);
	for (uint32_t i = 0; f != NULL && pat_file_get(f, i, x->arg[1], tell_found, x); i++)
		continue;
}

/* ---- changes ---- */

static void
edit(struct cli_ctx *x, struct pat_file *f, const struct pat_edit *e, uint32_t n, const char *none)
{
	char text[400];
	struct sl_buf why;

	sl_buf_init(&why, text, sizeof(text));
	int rc = pat_file_edit(f, e, n, &why);
	if (rc == -ENOENT)
		cli_err(x, none);
	else if (rc == -EAGAIN)
		cli_err(x, "Too many changes at once, try again.");
	else if (rc == -ENOMEM)
		cli_err(x, "Out of memory.");
	else if (rc < 0)
		cli_errf(x, "%s.", text);
}

/* Lines of a payload: "key" or "key value". All are added, or none. */
static void
add_lines(struct cli_ctx *x, struct pat_file *f, uint32_t ver)
{
	struct sl_str rest = x->payload, line;
	uint32_t n = 0, max = 1;
	struct pat_edit *e;

	for (uint32_t i = 0; i < rest.len; i++)
		max += rest.p[i] == '\n';
	e = calloc(max, sizeof(*e));
	while (e != NULL && rest.p != NULL) {
		line = sl_str_trim(sl_str_cut(&rest, '\n'));
		if (line.len == 0)
			continue;
		e[n] = (struct pat_edit){
			.op = PAT_ADD, .ver = ver, .key = line, .value = SL_STR("")
		};
		if (is_map(x)) {
			e[n].value = line;
			e[n].key = sl_str_cut(&e[n].value, ' ');
			e[n].value = sl_str_trim(e[n].value);
		}
		if (is_map(x) && e[n].value.len == 0) {
			cli_errf(x, "Missing value for key '%.*s'.", SL_STR_ARG(e[n].key));
			free(e);
			return;
		}
		n++;
	}
	if (e != NULL)
		edit(x, f, e, n, "");
	free(e);
}

static void
do_add(struct cli_ctx *x)
{
	uint32_t ver, want = is_map(x) ? 3 : 2;
	struct pat_file *f;

	if (!take_version(x, &ver))
		return;
	if (x->n < want && (x->n != 1 || x->payload.p == NULL)) {
		cli_err(x,
			is_map(x)
				? "'add map' expects three parameters (map identifier, key and "
				  "value) or one parameter (map identifier) and a payload"
				: "'add acl' expects two parameters: ACL identifier and pattern.");
		return;
	}
	f = find(x, x->arg[0]);
	if (f == NULL || !version_known(x, f, ver))
		return;
	if (x->n < want) {
		add_lines(x, f, ver);
		return;
	}
	struct pat_edit e = { .op = PAT_ADD,
		.ver = ver,
		.key = x->arg[1],
		.value = is_map(x) ? x->arg[2] : SL_STR("") };
	edit(x, f, &e, 1, "");
}

/* A key, or "#0x…": the entry of that number. false after a message. */
static bool
take_key(struct cli_ctx *x, struct sl_str w, struct pat_edit *e)
{
	char *end;

	if (w.len == 0 || w.p[0] != '#') {
		e->key = w;
		return true;
	}
	e->key = SL_STR_NULL;
	e->id = strtoull(w.p + 1, &end, 16); // words end with a NUL
	if (*end == '\0' && end > w.p + 1)
		return true;
	cli_err(x, "Malformed identifier. Please use #<id> or <file>.");
	return false;
}

static void
do_set(struct cli_ctx *x)
{
	struct pat_edit e = { .op = PAT_SET };
	struct pat_file *f;

	if (x->n < 3) {
		cli_err(x, "'set map' expects three parameters: map identifier, key and value.");
		return;
	}
	f = find(x, x->arg[0]);
	if (f == NULL || !take_key(x, x->arg[1], &e))
		return;
	e.value = x->arg[2];
	edit(x, f, &e, 1, e.key.p == NULL ? "key or pattern not found." : "entry not found.");
}

static void
do_del(struct cli_ctx *x)
{
	struct pat_edit e = { .op = PAT_DEL };
	struct pat_file *f;

	if (x->n < 2) {
		cli_errf(x, "This command expects two parameters: %s identifier and key.",
			kind(x));
		return;
	}
	f = find(x, x->arg[0]);
	if (f != NULL && take_key(x, x->arg[1], &e))
		edit(x, f, &e, 1, "Key not found.");
}

static void
do_clear(struct cli_ctx *x)
{
	struct pat_edit e = { .op = PAT_CLEAR };
	struct pat_file *f;

	if (!take_version(x, &e.ver))
		return;
	if (x->n == 0) {
		cli_errf(x, "Missing %s identifier.", kind(x));
		return;
	}
	f = find(x, x->arg[0]);
	if (f != NULL && version_known(x, f, e.ver))
		edit(x, f, &e, 1, "");
}

static void
do_prepare(struct cli_ctx *x)
{
	struct pat_file *f = find(x, x->n > 0 ? x->arg[0] : SL_STR(""));

	if (f == NULL)
		return;
	cli_severity(x, SL_INFO);
	cli_printf(x, "New version created: %u\n", pat_file_prepare(f));
}

static void
do_commit(struct cli_ctx *x)
{
	struct pat_file *f;
	uint32_t ver;

	if (x->n == 0 || x->arg[0].len == 0 || x->arg[0].p[0] != '@') {
		cli_err(x, "Missing version number.");
		return;
	}
	if (!take_version(x, &ver))
		return;
	f = find(x, x->n > 0 ? x->arg[0] : SL_STR(""));
	if (f != NULL && pat_file_commit(f, ver) < 0)
		cli_err(x, "Version number out of range.");
}

// clang-format off
SL_CLI_COMMANDS(
	{ "show map", CLI_USER, 0, 2, do_show, "[@<ver>] [map]",
		"report available maps or dump a map's contents", 1 },
	{ "show acl", CLI_USER, 0, 2, do_show, "[@<ver>] [acl]",
		"report available acls or dump an acl's contents", 0 },
	{ "get map", CLI_USER, 0, 2, do_get, "<map> <key>",
		"report the keys and values matching a sample for a map", 1 },
	{ "get acl", CLI_USER, 0, 2, do_get, "<acl> <value>",
		"report the patterns matching a sample for an ACL", 0 },
	{ "add map", CLI_ADMIN, 0, CLI_MANY, do_add, "[@<ver>] <map> <key> <val>",
		"add a map entry (payload supported instead of key/val)", 1 },
	{ "add acl", CLI_ADMIN, 0, CLI_MANY, do_add, "[@<ver>] <acl> <pattern>", "add an acl entry", 0 },
	{ "set map", CLI_ADMIN, 0, CLI_MANY, do_set, "<map> [<key>|#<ref>] <value>",
		"modify a map entry", 1 },
	{ "del map", CLI_ADMIN, 0, 2, do_del, "<map> [<key>|#<ref>]", "delete map entry", 1 },
	{ "del acl", CLI_ADMIN, 0, 2, do_del, "<acl> [<key>|#<ref>]", "delete acl entry", 0 },
	{ "clear map", CLI_ADMIN, 0, 2, do_clear, "[@<ver>] <map>",
		"clear the contents of this map", 1 },
	{ "clear acl", CLI_ADMIN, 0, 2, do_clear, "[@<ver>] <acl>",
		"clear the contents of this acl", 0 },
	{ "prepare map", CLI_ADMIN, 0, 1, do_prepare, "<map>",
		"prepare a new version for atomic map replacement", 1 },
	{ "prepare acl", CLI_ADMIN, 0, 1, do_prepare, "<acl>",
		"prepare a new version for atomic ACL replacement", 0 },
	{ "commit map", CLI_ADMIN, 0, 2, do_commit, "@<ver> <map>",
		"commit the contents of a map version", 1 },
	{ "commit acl", CLI_ADMIN, 0, 2, do_commit, "@<ver> <acl>",
		"commit the contents of an ACL version", 0 },
);
// clang-format on
