// SPDX-License-Identifier: BSD-3-Clause
/*
 * Actions that change files of patterns: set-map(file) <key> <value>, del-map(file) <key>, add-acl(file)
 * <key>, del-acl(file) <key>.
 *
 * Parsing runs on control threads, running on the worker, which asks main for the change (patset.h).
 * Follows: HAProxy: set-map sets what is there and adds what is not, add-acl adds nothing twice, and
 * only files that the configuration reads anyway can be changed. There a change is in force for the next
 * rule; here a moment later, for all workers at once.
 */
#include "dataplane/expr/patset.h"
#include "dataplane/proxy/stream.h"

#define POINTS (EVAL_BIT(EVAL_HTTP_REQ) | EVAL_BIT(EVAL_HTTP_RES))

enum { SET_MAP, DEL_MAP, ADD_ACL, DEL_ACL };

static int
bad(const struct act_parse *p, struct sl_str word, const char *text)
{
	p->comp->diag->error(p->comp->diag->ctx, word, text);
	return -EINVAL;
}

static int
parse_change(struct act_parse *p, uintptr_t kind)
{
	uint32_t want = kind == SET_MAP ? 3 : 2;
	struct pat_set *set = p->comp->pats;
	struct pat_file *f;
	char text[400];
	struct sl_buf why;
	int rc;

	if (p->nword != want || p->word[0].len == 0)
		return bad(p, SL_STR(""),
			kind == SET_MAP ? "expects (<file>) <key> <value>, two formats"
					: "expects (<file>) <key>, a format");
	if (set == NULL)
		return bad(p, p->word[0], "files cannot be changed here");
	sl_buf_init(&why, text, sizeof(text) - 1);
	rc = pat_file_open(set, p->word[0], kind == SET_MAP || kind == DEL_MAP, &f, &why);
	if (rc == 0)
		rc = pat_set_asks(set);
	if (rc < 0) {
		text[why.len] = '\0';
		return bad(p, p->word[0], rc == -ENOMEM ? "out of memory" : text);
	}
	p->data = f;
	p->nsamples = want - 1;
	rc = prog_add_fmt(p->prog, p->word[1]);
	return rc == 0 && want == 3 ? prog_add_fmt(p->prog, p->word[2]) : rc;
}

static enum act_ret
run_change(struct stream *s, const struct act *a, struct sample *args, uint32_t n)
{
	static const enum pat_op ops[] = {
		[SET_MAP] = PAT_PUT, [DEL_MAP] = PAT_DEL, [ADD_ACL] = PAT_PUT, [DEL_ACL] = PAT_DEL
	};
	/* The file is the generation's, as the program is; main alone changes it. */
	struct pat_file *f = (struct pat_file *)(uintptr_t)a->data;
	struct sl_str value = n > 1 ? args[1].s : SL_STR("");

	if (n == 0 || args[0].s.len == 0)
		return ACT_CONT; // as HAProxy: no key, no change
	stat_inc(s->lc, STAT_PAT_ASKED);
	if (!pat_file_ask(f, ops[a->row->priv], args[0].s, value))
		stat_inc(s->lc, STAT_PAT_LOST);
	return ACT_CONT;
}

SL_ACTIONS({ "set-map", POINTS, parse_change, run_change,
		   "(<file>) <key> <value>: set a key of a map, or add it", SET_MAP },
	{ "del-map", POINTS, parse_change, run_change, "(<file>) <key>: delete a key of a map", DEL_MAP },
	{ "add-acl", POINTS, parse_change, run_change, "(<file>) <key>: add a pattern to a file", ADD_ACL },
	{ "del-acl", POINTS, parse_change, run_change, "(<file>) <key>: delete a pattern of a file",
		DEL_ACL }, );
