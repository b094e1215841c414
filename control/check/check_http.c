// SPDX-License-Identifier: BSD-3-Clause
/*
 * `option httpchk`: a request is sent; an answer of 2xx or 3xx is a server that lives.
 *
 * Runs on main. Only the status line is read. Not here: http-check send and expect.
 */
#include <stdio.h>

#include "control/check/check_priv.h"

static bool
end(struct check *c, enum check_status st, uint16_t code, struct sl_str info)
{
	c->res.status = st;
	c->res.code = code;
	snprintf(c->res.info, sizeof(c->res.info), "%.*s",
		(int)sl_min(info.len, (uint32_t)sizeof(c->res.info) - 1),
		info.p != NULL ? info.p : "");
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
check_status_line(struct sl_str s, uint16_t *code, struct sl_str *reason)
{
	int nl = sl_str_chr(s, '\n');
	uint32_t n = sl_min(s.len, 7u);

	if (memcmp(s.p, "HTTP/1.", n) != 0)
		return -EBADMSG;
	if (nl < 0)
		return -EAGAIN;
	s.len = (uint32_t)nl;
	if (s.len > 0 && s.p[s.len - 1] == '\r')
		s.len--;
	if (s.len < 12 || !is_digit(s.p[7]) || s.p[8] != ' ' || !is_digit(s.p[9]) ||
		!is_digit(s.p[10]) || !is_digit(s.p[11]) || (s.len > 12 && s.p[12] != ' '))
		return -EBADMSG;
	*code = (uint16_t)((s.p[9] - '0') * 100 + (s.p[10] - '0') * 10 + (s.p[11] - '0'));
	*reason = s.len > 13 ? sl_str_make(s.p + 13, s.len - 13) : SL_STR("");
	return 0;
}

static bool
http_connected(struct check *c)
{
	struct sl_str req = c->srv->be->httpchk.request;

	if (req.len == 0)
		req = SL_STR("OPTIONS / HTTP/1.0\r\n\r\n");
	c->head_len = 0;
	if (io_send(c->conn, req.p, req.len) < 0)
		return end(c, CHK_L7RSP, 0, SL_STR("request does not fit"));
	return false;
}

static bool
http_data(struct check *c, const void *p, uint32_t n)
{
	uint32_t room = (uint32_t)sizeof(c->head) - c->head_len;
	struct sl_str reason;
	uint16_t code;
	int rc;

	n = sl_min(n, room);
	memcpy(c->head + c->head_len, p, n);
	c->head_len += n;
	rc = check_status_line(sl_str_make(c->head, c->head_len), &code, &reason);
	if (rc == -EAGAIN && c->head_len < sizeof(c->head))
		return false;
	if (rc < 0)
		return end(c, CHK_L7RSP, 0, SL_STR(""));
	return end(c, code >= 200 && code < 400 ? CHK_L7OK : CHK_L7STS, code, reason);
}

static bool
http_ended(struct check *c, int err)
{
	if (!c->connected)
		return check_tcp.ended(c, err);
	return end(c, CHK_L7RSP, 0, err != 0 ? sl_str_c(strerror(err)) : SL_STR(""));
}

static bool
http_timeout(struct check *c)
{
	if (!c->connected)
		return check_tcp.timeout(c);
	return end(c, CHK_L7TOUT, 0, SL_STR(""));
}

const struct check_kind check_http = {
	.connected = http_connected,
	.data = http_data,
	.ended = http_ended,
	.timeout = http_timeout,
};
