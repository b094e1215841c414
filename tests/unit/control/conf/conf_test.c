// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whole configurations: what the model holds, what is inherited, which mistakes and warnings are
 * told, and that memory may run out anywhere.
 */
#include "tests/unit/control/conf/conf_env.h"

#include "dataplane/tcp/tcp.h"
#include "dataplane/proxy/action.h"
#include "dataplane/proxy/call.h"

static struct conf_run run; // large

static const struct proxy *
proxy(const char *name)
{
	const struct proxy *px = model_find_proxy(run.m, sl_str_c(name), 0);

	if (px == NULL)
		fail_msg("no proxy '%s'", name);
	return px;
}

static void
assert_str(struct sl_str s, const char *want)
{
	if (!sl_str_eq(s, sl_str_c(want)))
		fail_msg("'%.*s' is not '%s'", SL_STR_ARG(s), want);
}

static void
good(const char *text)
{
	conf_run(&run, text);
	if (run.rc != 0)
		fail_msg("%s", run.text);
}

static const char full[] =
	"global\n"
	" nbthread 3\n script-threads 2\n maxconn 500\n busy-polling\n daemon\n quiet\n"
	" pidfile /run/s.pid\n dpdk-eal \"-m 256\"\n node n1\n description d\n"
	" cpu-map auto:1-3 4-6\n"
	" log stdout len 500 format iso local3 notice err\n"
	" tune.lua.forced-yield 700\n tune.lua.session-timeout 2s\n tune.lua.burst-timeout 300ms\n"
	" tune.lua.maxmem 32\n tune.lua.deadline 50ms\n tune.lua.max-instructions 9000\n"
	" tune.lua.on-error deny\n tune.lua.on-overload status 429\n"
	" lua-prepend-path /a/?.lua\n lua-prepend-path /b/?.lua\n"
	"defaults\n"
	" mode http\n log global\n option httplog\n option dontlognull\n option redispatch\n"
	" retries 5\n maxconn 77\n timeout client 1s\n timeout server 2s\n timeout connect 3s\n"
	" timeout http-request 4s\n timeout http-keep-alive 5s\n timeout queue 6s\n"
	" timeout check 7s\n timeout tunnel 8s\n default-server inter 9s weight 7\n"
	" option forwardfor except 10.0.0.0/8 header X-Real if-none\n"
	"frontend www\n"
	" bind 10.1.0.1:80,[fd00::1]:81 name main maxconn 9\n bind :8080\n"
	" acl api path_beg /api\n"
	" http-request set-header x-a %[path] if api\n"
	" http-request deny unless { hdr(host) -m found }\n"
	" http-response set-header x-b c\n"
	" redirect location /r if { path /old }\n"
	" use_backend app if api\n use_backend be_%[hdr(host)]\n"
	" default_backend app\n"
	"backend app\n"
	" no option redispatch\n option http-server-close\n"
	" option httpchk\n http-check send meth GET uri /up ver HTTP/1.1 hdr Host h body b\n"
	" balance roundrobin\n"
	" server s1 10.1.0.11:80 check port 81 fastinter 1s rise 4 fall 5 maxconn 3 id 2\n"
	" default-server weight 8\n"
	" server s2 [fd00::12]:8080 backup disabled downinter 2s\n"
	" server s3 10.1.0.13:80 no-check\n"
	"defaults\n mode tcp\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
	"listen raw\n id 9\n bind :90\n option tcplog\n log global\n server a 10.1.0.11:90\n";

static void
test_global(void **state sl_unused)
{
	const struct global_conf *g;

	good(full);
	g = &run.m->global;
	assert_int_equal(g->nbthread, 3);
	assert_int_equal(g->script_threads, 2);
	assert_int_equal(g->maxconn, 500);
	assert_true(g->busy_polling && g->daemon && g->quiet && g->log_mask == 1);
	assert_str(g->pidfile, "/run/s.pid");
	assert_str(g->dpdk_eal, "-m 256");
	assert_str(g->node, "n1");
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(g->cpu_map[i].set);
		assert_int_equal(g->cpu_map[i].mask[0], 1u << (4 + i));
	}
	assert_false(g->cpu_map[3].set);
	assert_int_equal(g->log_target[0].form, LOG_ISO);
	assert_int_equal(g->log_target[0].len, 500);
	assert_int_equal(g->log_target[0].facility, 19);
	assert_int_equal(g->log_target[0].level, SL_NOTICE);
	assert_int_equal(g->log_target[0].min_level, SL_ERR);
	assert_int_equal(g->lua_forced_yield, 700);
	assert_int_equal(g->lua_session_timeout_ms, 2000);
	assert_int_equal(g->lua_burst_timeout_ms, 300);
	assert_int_equal(g->lua_maxmem_mb, 32);
	assert_int_equal(g->lua_deadline_ms, 50);
	assert_int_equal(g->lua_max_instructions, 9000);
	assert_int_equal(g->lua_on_error, CALL_POLICY_DENY);
	assert_int_equal(g->lua_on_overload, CALL_POLICY_STATUS);
	assert_int_equal(g->lua_overload_status, 429);
	assert_str(g->lua_prepend_path, "/b/?.lua;/a/?.lua");
	assert_int_equal(run.m->nports, 1);
	assert_str(run.m->ports[0].name, "lan");
	assert_str(run.m->ports[0].device, "net_ring0");
	assert_int_equal(run.m->ports[0].naddrs, 2);
	assert_int_equal(run.m->ports[0].mtu, 1500);
	assert_int_equal(run.m->ports[0].gateway4.family, ADDR_V4);
	assert_int_equal(run.m->ports[0].gateway6.family, ADDR_NONE);
	conf_run_end(&run);
}

static void
test_tcp(void **state sl_unused)
{
	struct tcp_conf def, t;
	const struct proxy *px;

	good(full);
	assert_null(run.m->global.tcp);
	conf_run_end(&run);
	good("global\n tune.tcp.rto-min 20ms\n tune.tcp.rto-max 30s\n tune.tcp.rto-initial 500\n"
	     " tune.tcp.delack 10\n tune.tcp.syn-retries 3\n tune.tcp.retries 7\n"
	     " tune.tcp.syn-cookies always\n tune.tcp.half-open 1000\n tune.tcp.timewait 5s\n"
	     " tune.tcp.timewait-max 2000\n tune.tcp.fin-timeout 9s\n"
	     " tune.tcp.keepalive-idle 1m\n tune.tcp.keepalive-intvl 4s\n"
	     " tune.tcp.keepalive-cnt 5\n tune.tcp.cc newreno\n tune.tcp.rcvbuf 64k\n"
	     " tune.tcp.sndbuf 128k\n tune.tcp.sack off\n tune.tcp.timestamps off\n"
	     " tune.tcp.window-scaling off\n tune.tcp.port-range 20000 30000\n" DEFAULTS
	     "listen l\n bind :80\n option tcpka\n clitcpka-idle 60\n clitcpka-intvl 2s\n"
	     " clitcpka-cnt 3\n srvtcpka-idle 2m\n srvtcpka-intvl 5\n srvtcpka-cnt 6\n"
	     " server a 10.1.0.11:90\n"
	     "backend b\n option srvtcpka\n no option srvtcpka\n server a 10.1.0.11:90\n");
	tcp_conf_default(&def);
	t = *run.m->global.tcp;
	assert_int_equal(t.max_conns, def.max_conns);
	assert_int_equal(t.rto_min_ms, 20);
	assert_int_equal(t.rto_max_ms, 30000);
	assert_int_equal(t.rto_init_ms, 500);
	assert_int_equal(t.delack_ms, 10);
	assert_int_equal(t.syn_retries, 3);
	assert_int_equal(t.data_retries, 7);
	assert_int_equal(t.cookies, TCP_COOKIES_ALWAYS);
	assert_int_equal(t.max_half_open, 1000);
	assert_int_equal(t.timewait_ms, 5000);
	assert_int_equal(t.max_timewait, 2000);
	assert_int_equal(t.fin_timeout_ms, 9000);
	assert_int_equal(t.keepalive.idle_ms, 60000);
	assert_int_equal(t.keepalive.intvl_ms, 4000);
	assert_int_equal(t.keepalive.count, 5);
	assert_int_equal(t.cc, TCP_CC_NEWRENO);
	assert_int_equal(t.rcv_buf, 65536);
	assert_int_equal(t.snd_buf, 131072);
	assert_int_equal(t.sack + t.timestamps + t.wscale, 0);
	assert_int_equal(t.port_first, 20000);
	assert_int_equal(t.port_last, 30000);
	px = proxy("l");
	assert_int_equal(px->options & (PX_O_CLITCPKA | PX_O_SRVTCPKA),
		PX_O_CLITCPKA | PX_O_SRVTCPKA);
	assert_int_equal(px->keep_client.idle_ms, 60000);
	assert_int_equal(px->keep_client.intvl_ms, 2000);
	assert_int_equal(px->keep_client.count, 3);
	assert_int_equal(px->keep_server.idle_ms, 120000);
	assert_int_equal(px->keep_server.intvl_ms, 5000);
	assert_int_equal(px->keep_server.count, 6);
	assert_int_equal(proxy("b")->options & (PX_O_CLITCPKA | PX_O_SRVTCPKA), 0);
	conf_run_end(&run);
	good("global\n tune.tcp.delack 10\n" DEFAULTS "listen l\n bind :80\n server a 10.1.0.11:90\n");
	assert_int_equal(run.m->global.tcp->cc, TCP_CC_HOST);
	conf_run_end(&run);
}

static void
test_frontend(void **state sl_unused)
{
	const struct proxy *px;

	good(full);
	px = proxy("www");
	assert_int_equal(run.n.listeners, 4);
	assert_int_equal(run.m->nbinds, 4);
	assert_int_equal(run.m->nproxies, 3);
	assert_int_equal(px->caps, PX_CAP_FE);
	assert_int_equal(px->id, 1);
	assert_int_equal(px->slot, 0);
	assert_int_equal(px->mode, PX_HTTP);
	assert_int_equal(px->maxconn, 77);
	assert_true(px->log_mask != 0);
	assert_int_equal(
		px->options, PX_O_HTTPLOG | PX_O_FORWARDFOR | PX_O_REDISPATCH | PX_O_DONTLOGNULL);
	assert_str(px->forwardfor_hdr, "X-Real");
	assert_int_equal(px->forwardfor_except.prefix, 8);
	assert_true(px->forwardfor_ifnone);
	assert_int_equal(px->timeout.client, 1000);
	assert_int_equal(px->timeout.http_request, 4000);
	assert_int_equal(px->timeout.http_keep_alive, 5000);
	assert_int_equal(px->nbinds, 3);
	assert_int_equal(px->binds[0].addr.port, 80);
	assert_str(px->binds[1].name, "main");
	assert_int_equal(px->binds[1].addr.ip.family, ADDR_V6);
	assert_int_equal(px->binds[1].maxconn, 9);
	assert_true(addr_is_any(&px->binds[2].addr.ip));
	assert_int_equal(px->binds[2].addr.ip.family, ADDR_V4);
	for (uint32_t i = 0; i < run.m->nbinds; i++)
		assert_int_equal(run.m->binds[i]->slot, i);
	assert_ptr_equal(px->binds[2].fe, px);
	assert_ptr_equal(px->default_be, proxy("app"));
	assert_int_equal(px->nswitches, 2);
	assert_ptr_equal(px->switches[0].be, proxy("app"));
	assert_non_null(px->switches[0].cond);
	assert_null(px->switches[0].name);
	assert_null(px->switches[1].be);
	assert_null(px->switches[1].cond);
	assert_non_null(px->switches[1].name);
	conf_run_end(&run);
}

static void
test_backend(void **state sl_unused)
{
	const struct proxy *px;
	const struct server *s;

	good(full);
	px = proxy("app");
	s = px->servers;
	assert_int_equal(px->caps, PX_CAP_BE);
	assert_int_equal(px->id, 2);
	assert_int_equal(px->retries, 5);
	assert_int_equal(px->options & (PX_O_REDISPATCH | PX_O_SERVER_CLOSE), PX_O_SERVER_CLOSE);
	assert_str(px->httpchk.request,
		"GET /up HTTP/1.1\r\nHost: h\r\nconnection: close\r\ncontent-length: 1\r\n\r\nb");
	assert_int_equal(px->timeout.server, 2000);
	assert_int_equal(px->timeout.connect, 3000);
	assert_int_equal(px->timeout.queue, 6000);
	assert_int_equal(px->timeout.check, 7000);
	assert_int_equal(px->timeout.tunnel, 8000);
	assert_int_equal(px->nservers, 3);
	assert_str(s[0].name, "s1");
	assert_ptr_equal(s[0].be, px);
	assert_int_equal(s[0].id, 2);
	assert_true(s[0].check);
	assert_int_equal(s[0].check_port, 81);
	assert_int_equal(s[0].inter_ms, 9000);
	assert_int_equal(s[0].fastinter_ms, 1000);
	assert_int_equal(s[0].downinter_ms, 9000);
	assert_int_equal(s[0].rise, 4);
	assert_int_equal(s[0].fall, 5);
	assert_int_equal(s[0].maxconn, 3);
	assert_int_equal(s[0].weight, 7);
	assert_int_equal(s[1].id, 1);
	assert_int_equal(s[1].weight, 8);
	assert_true(s[1].backup && s[1].disabled);
	assert_int_equal(s[1].downinter_ms, 2000);
	assert_int_equal(s[1].addr.port, 8080);
	assert_int_equal(s[2].id, 3);
	assert_false(s[2].check);
	assert_int_equal(run.m->nservers, 4);
	assert_int_equal(s[2].slot, 2);
	px = proxy("raw");
	assert_int_equal(px->caps, PX_CAP_FE | PX_CAP_BE);
	assert_int_equal(px->id, 9);
	assert_int_equal(px->mode, PX_TCP);
	assert_int_equal(px->options, PX_O_TCPLOG);
	assert_int_equal(px->servers[0].slot, 3);
	assert_int_equal(px->servers[0].weight, 1);
	assert_int_equal(px->retries, 3);
	conf_run_end(&run);
}

/* [cond JF next] [samples] ACT, rules in order, old redirects last. */
static void
test_programs(void **state sl_unused)
{
	const struct prog *p;
	const char *name[3] = { NULL };
	uint32_t n = 0;

	good(full);
	p = proxy("www")->http_req;
	assert_non_null(p);
	assert_int_equal(p->ncalls, 0);
	for (uint32_t i = 0; i < p->len; i++) {
		if (p->code[i].op != OP_ACT)
			continue;
		assert_in_range(n, 0, 2);
		name[n++] = ((const struct act *)p->code[i].ptr)->row->name;
		if (n == 1)
			assert_int_equal(p->code[i].n, 1);
	}
	assert_int_equal(n, 3);
	assert_string_equal(name[0], "set-header");
	assert_string_equal(name[1], "deny");
	assert_string_equal(name[2], "redirect");
	for (uint32_t i = 0; i < p->len; i++) {
		// a false condition lands behind its own action
		if (p->code[i].op == OP_JF && p->code[i].n > 0)
			assert_int_equal(p->code[p->code[i].n - 1].op, OP_ACT);
	}
	assert_non_null(proxy("www")->http_res);
	assert_null(proxy("app")->http_req);
	conf_run_end(&run);
}

/* A later "acl" line of the same name belongs to the ACL that an earlier rule uses. */
static void
test_acl_grows(void **state sl_unused)
{
	uint32_t tests = 0;
	const struct prog *p;

	good(DEFAULTS "frontend f\n bind :80\n acl a path /x\n http-request deny if a\n"
		      " acl a path /y\n");
	p = proxy("f")->http_req;
	for (uint32_t i = 0; i < p->len; i++)
		tests += p->code[i].op == OP_MATCH;
	assert_int_equal(tests, 2);
	conf_run_end(&run);
}

static void
test_defaults(void **state sl_unused)
{
	good("defaults a\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"
	     "defaults b from a\n retries 8\n"
	     "defaults c\n timeout client 2s\n"
	     "frontend f1 from a\n bind :80\n"
	     "frontend f2\n bind :81\n"
	     "backend b1 from b\n server s 10.1.0.11:80\n");
	assert_int_equal(proxy("f1")->mode, PX_HTTP);
	assert_int_equal(proxy("f1")->timeout.client, 1000);
	assert_int_equal(proxy("f2")->mode, PX_TCP);
	assert_int_equal(proxy("f2")->timeout.client, 2000);
	assert_int_equal(proxy("b1")->mode, PX_HTTP);
	assert_int_equal(proxy("b1")->retries, 8);
	conf_run_end(&run);
}

/* Linux gives "[::]" the IPv4 connections too. */
static void
test_v4v6(void **state sl_unused)
{
	good(DEFAULTS "frontend f\n bind :::80\n bind [::]:81 v6only\n bind [::]:82 v4v6\n"
		      " bind :::83\nfrontend g\n bind :83\n");
	assert_int_equal(proxy("f")->nbinds, 6);
	assert_int_equal(proxy("f")->binds[1].addr.ip.family, ADDR_V4);
	assert_int_equal(proxy("f")->binds[1].addr.port, 80);
	assert_int_equal(proxy("f")->binds[2].addr.port, 81);
	assert_int_equal(proxy("f")->binds[3].addr.port, 82);
	assert_int_equal(proxy("f")->binds[4].addr.port, 82);
	assert_int_equal(run.n.listeners, 7);
	conf_run_end(&run);
}

struct text_case {
	int line;
	const char *text;
	const char *says; // NULL: nothing may be said
};

#define F DEFAULTS "frontend f\n bind :80\n"

static const struct text_case errors[] = {
	{ __LINE__, "x\n", "[/proc/self/fd/3:1] : unknown keyword 'x' out of section" },
	{ __LINE__, "global x\n", "'global' cannot handle unexpected argument 'x'" },
	{ __LINE__, "global\n foo\n", ":2] : unknown keyword 'foo' in 'global' section" },
	{ __LINE__, "global\n server-state-base /x\n", "keyword 'server-state-base': " },
	{ __LINE__, "global\n stats socket fd@x\n", "expects the number of an inherited descriptor" },
	{ __LINE__, "global\n stats socket 127.0.0.1\n", "missing port specification" },
	{ __LINE__, "global\n stats socket /x level root\n", "expects 'user', 'operator' or 'admin'" },
	{ __LINE__, "global\n stats socket /x mode 9\n", "expects an octal number" },
	{ __LINE__, "global\n stats socket /x user no-such-user\n", "there is no user" },
	{ __LINE__, "global\n stats socket /x frob\n", "unknown keyword 'frob'" },
	{ __LINE__, "global\n no maxconn 3\n", "negation/default is not supported for 'maxconn'" },
	{ __LINE__, "frontend\n", "'frontend' expects an <id> argument" },
	{ __LINE__, "frontend a?b\n", "character '?' is not permitted in 'frontend' name 'a?b'" },
	{ __LINE__, "frontend a b\n", "'frontend' cannot handle unexpected argument 'b'" },
	{ __LINE__, "frontend a from x\n", "defaults section 'x' not found for frontend 'a'" },
	{ __LINE__, "defaults x\ndefaults x\nfrontend a from x\n", ":3] : ambiguous defaults" },
	{ __LINE__, F "frontend f\n", ":8] : frontend 'f' has the same name as frontend 'f'" },
	{ __LINE__, F "listen f\n", ":8] : proxy 'f' has the same name as frontend 'f'" },
	{ __LINE__, "port lan\n device d\n address 10.5.0.1/24\n",
		"has the same name as port 'lan'" },
	{ __LINE__, "port p\n address 10.5.0.1/24\n", "port 'p' has no 'device'" },
	{ __LINE__, "port p\n device d\n", "port 'p' has no 'address'" },
	{ __LINE__, "port\n", "'port' expects a name" },
	{ __LINE__, "userlist u\n user a\n",
		":1] : not supported yet by sluice: section 'userlist'" },
	{ __LINE__, "defaults\n bind :80\n", "'bind' not allowed in 'defaults' section" },
	{ __LINE__, "defaults\n option frob\n", "unknown option 'frob'" },
	{ __LINE__, "defaults\n option\n", "'option' expects one of" },
	{ __LINE__, "defaults\n option allbackups\n", "option 'allbackups'" },
	{ __LINE__, "defaults\n timeout foo 3\n", "'timeout' supports 'check', 'client'" },
	{ __LINE__, "defaults\n no option httplog\n", "negation/default is not supported" },
	{ __LINE__, F " server a 10.1.0.11:80\n", "frontend 'f' has no backend capability" },
	{ __LINE__, F " default_backend f\n", "unable to find required default_backend: 'f'" },
	{ __LINE__, F " default_backend b\nbackend b\n mode tcp\n",
		"incompatible tcp backend 'b'" },
	{ __LINE__, F " mode tcp\n default_backend b\nbackend b\n", "set the same 'mode' in both" },
	{ __LINE__, F " bind 10.1.0.1:80\n bind 10.1.0.1:80\n", "is already taken by 'f'" },
	{ __LINE__, F " http-request deny if a\n acl a path /x\n", "no such ACL : 'a'" },
	{ __LINE__, F " id 5\nfrontend g\n bind :81\n id 5\n", "reuses same custom id 5" },
	{ __LINE__,
		DEFAULTS "backend b\n server a 10.1.0.11:80 id 3\n server b 10.1.0.11:80 id 3\n",
		"server 'b' reuses same custom id 3" },
	{ __LINE__, "global\n maxconn 3", "Missing LF on last line" },
	{ __LINE__, ".if 1\n", "'.if' of line 1 has no '.endif'" },
	{ __LINE__, ".endif\n", "lone '.endif'" },
	{ __LINE__, ".else\n", "lone or misplaced '.else'" },
	{ __LINE__, ".if 0\n.else\n.else\n.endif\n", ":3] : lone or misplaced '.else'" },
	{ __LINE__, ".if nope\n.endif\n", "unparsable conditional expression 'nope'" },
	{ __LINE__, ".alert \"no way\"\n", "'no way'" },
	{ __LINE__, ".foo\n", "unknown keyword '.foo'" },
	{ __LINE__, "global\n node \"a\n", "unmatched quote at position 7:\n  node \"a\n       ^" },
	{ __LINE__, "global\n zero-warning\n" DEFAULTS "frontend f\n", "'zero-warning' is set" },
};

static void
test_errors(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(errors); i++) {
		conf_run(&run, errors[i].text);
		if (run.rc != -EINVAL || run.n.errors == 0 || run.m != NULL)
			fail_msg("line %d: accepted: %s", errors[i].line, run.text);
		if (strstr(run.text, errors[i].says) == NULL)
			fail_msg("line %d: %s", errors[i].line, run.text);
	}
}

static const struct text_case warnings[] = {
	{ __LINE__, F, NULL },
	{ __LINE__, "frontend f\n bind :80\n", "missing timeouts for frontend 'f'" },
	{ __LINE__, "backend b\n", NULL },
	{ __LINE__, "backend b\n server s 10.1.0.11:80\n", "missing timeouts for backend 'b'" },
	{ __LINE__, "backend b\n server s 10.1.0.11:80\n timeout connect 1\n timeout tunnel 1\n",
		NULL },
	{ __LINE__, DEFAULTS "frontend f\n", "frontend 'f' has no 'bind' directive" },
	{ __LINE__, DEFAULTS "backend b\n bind :80\n",
		"'bind' ignored because backend 'b' has no frontend" },
	{ __LINE__, DEFAULTS "backend b\n default_backend x\n", "'default_backend' ignored" },
	{ __LINE__, DEFAULTS "backend b\n maxconn 3\n", "'maxconn' ignored" },
	{ __LINE__, F " timeout server 3s\n", "'timeout server' will be ignored because frontend" },
	{ __LINE__, F " retries 3\n", "'retries' ignored because frontend 'f' has no backend" },
	{ __LINE__, F " balance roundrobin\n", "'balance' ignored" },
	{ __LINE__, F " option httplog\n", "log format ignored for frontend 'f'" },
	{ __LINE__, F " option httplog\n log global\n", NULL },
	{ __LINE__, F " mode tcp\n log global\n option httplog\n",
		"Falling back to 'option tcplog'" },
	{ __LINE__, F " mode tcp\n http-request deny\n", "'http-request' rules ignored" },
	{ __LINE__, F " mode tcp\n option forwardfor\n", "'option forwardfor' ignored" },
	{ __LINE__, F " redirect location /x if FALSE\n http-request deny\n",
		"a 'http-request' rule placed after a 'redirect' rule" },
	{ __LINE__, F " use_backend b if FALSE\n redirect location /x\nbackend b\n",
		"a 'redirect' rule placed after a 'use_backend' rule" },
	{ __LINE__, ".warning careful\n", "'careful'" },
	{ __LINE__, ".if 0\n.warning x\n.elif 1\n.else\n.warning x\n.endif\n.diag y\n", NULL },
	{ __LINE__, ".if 0\n.if 1\n.warning x\n.endif\n.endif\n", NULL },
};

static void
test_warnings(void **state sl_unused)
{
	for (size_t i = 0; i < SL_ARRAY_SIZE(warnings); i++) {
		conf_run(&run, warnings[i].text);
		if (run.rc != 0)
			fail_msg("line %d: %s", warnings[i].line, run.text);
		if (warnings[i].says == NULL ? run.n.warnings != 0
					     : strstr(run.text, warnings[i].says) == NULL)
			fail_msg("line %d: %s", warnings[i].line, run.text);
		conf_run_end(&run);
	}
}

/* Accepted without an effect: told, but no warning, so that -dW lets it pass. */
static void
test_ignored(void **state sl_unused)
{
	good("global\n ulimit-n 100\n ssl-default-bind-ciphers A:B\n tune.maxaccept 5\n stats timeout 3s\n" F
	     " backlog 10\n option splice-auto\n bind :81 defer-accept backlog 30 name x\n"
	     "backend b\n server s 10.1.0.11:80 no-ssl check\n");
	assert_int_equal(run.n.warnings, 0);
	assert_non_null(strstr(run.text,
		"NOTICE parsing [/proc/self/fd/3:2] : keyword 'ulimit-n' "
		"has no effect in sluice"));
	assert_str(proxy("f")->binds[1].name, "x");
	assert_true(proxy("b")->servers[0].check);
	conf_run_end(&run);
}

/* The file with ten kinds of mistake: each with its line and word, in one run. */
static void
test_bad10(void **state)
{
	const char *dir = *state;
	const char *const files[] = { "bad10.cfg" };
	const struct conf_spec spec = {
		.files = files, .nfiles = 1, .message = conf_run_message, .ctx = &run
	};
	char line[256], word[128];
	unsigned int at, n = 0;
	FILE *f;

	assert_int_equal(chdir(dir), 0);
	sl_buf_init(&run.log, run.text, sizeof(run.text));
	assert_int_equal(conf_load(&spec, &run.m, &run.n), -EINVAL);
	f = fopen("bad10.expect", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char where[64];
		const char *msg, *end, *hit;

		assert_int_equal(sscanf(line, "%u %127[^\n]", &at, word), 2);
		snprintf(where, sizeof(where), "ALERT parsing [bad10.cfg:%u] : ", at);
		msg = strstr(run.text, where);
		if (msg == NULL)
			fail_msg("no error for line %u: %s", at, run.text);
		end = strstr(msg + 1, "ALERT ");
		hit = strstr(msg + strlen(where), word);
		if (hit == NULL || (end != NULL && hit > end))
			fail_msg("the error of line %u does not name '%s': %s", at, word, msg);
		n++;
	}
	fclose(f);
	assert_int_equal(n, 10);
	assert_int_equal(run.n.errors, 10);
}

/* Memory that runs out anywhere: -ENOMEM, one message, nothing kept. */
static void
no_memory(bool tmp)
{
	uint32_t n = 1;

	for (;; n++) {
		conf_run_with(&run, full, tmp ? 0 : n, tmp ? n : 0);
		if (run.rc == 0)
			break;
		if (run.rc != -ENOMEM || run.m != NULL || strstr(run.text, "out of memory") == NULL)
			fail_msg("allocation %u: %d %s", n, run.rc, run.text);
	}
	assert_true(n > 50);
	conf_run_end(&run);
}

static void
test_no_memory(void **state sl_unused)
{
	no_memory(false);
	no_memory(true);
}

static void
test_files(void **state sl_unused)
{
	char dir[] = "/tmp/sluice-conf-XXXXXX", path[96];
	const char *files[] = { dir };
	const struct conf_spec spec = {
		.files = files, .nfiles = 1, .message = conf_run_message, .ctx = &run
	};
	static const struct {
		const char *name, *text;
	} file[] = { { "20-b.cfg", "frontend f\n bind :80\n" }, { "10-a.cfg", DEFAULTS },
		{ ".hidden.cfg", "nonsense\n" }, { "notes.txt", "nonsense\n" },
		{ "30-c.cfg", PORTS } };

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < SL_ARRAY_SIZE(file); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, file[i].name);
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(file[i].text, f);
		fclose(f);
	}
	sl_buf_init(&run.log, run.text, sizeof(run.text));
	run.rc = conf_load(&spec, &run.m, &run.n);
	if (run.rc != 0 || run.n.warnings != 0)
		fail_msg("%s", run.text);
	assert_int_equal(proxy("f")->mode, PX_HTTP);
	conf_run_end(&run);
	for (size_t i = 0; i < SL_ARRAY_SIZE(file); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, file[i].name);
		unlink(path);
	}
	rmdir(dir);
	assert_int_equal(conf_load(&spec, &run.m, &run.n), -EINVAL);
	assert_non_null(strstr(run.text, "Cannot open configuration file/directory"));
}

int
main(int argc, char **argv)
{
	char here[] = ".";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_global),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_frontend),
		cmocka_unit_test(test_backend),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_acl_grows),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_v4v6),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_files),
		cmocka_unit_test_prestate(test_bad10, argc > 1 ? argv[1] : here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
