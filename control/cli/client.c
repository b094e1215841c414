// SPDX-License-Identifier: BSD-3-Clause
/*
 * One client of the runtime API: lines in, answers out, nothing waits.
 *
 * Runs on: main. Without "prompt" one line is answered and the connection closed, as HAProxy. A line
 * that ends in "<<" takes the lines up to an empty one as its payload. A client that is silent, or
 * does not read its answer, for the timeout is closed. When commands have used what they may, those
 * that are complete wait for their turn (turn.c), and nothing more is read.
 */
#include "control/cli/cli_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
restart_timer(struct cli_client *c)
{
	c->timer.repeat = (double)c->timeout_ms / 1000;
	ev_timer_again(c->cli->s.ev, &c->timer);
}

static void
want(struct cli_client *c, int events)
{
	struct ev_loop *ev = c->cli->s.ev;

	if ((c->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&c->io))
		return;
	ev_io_stop(ev, &c->io);
	ev_io_modify(&c->io, events);
	if (events != 0)
		ev_io_start(ev, &c->io);
}

void
cli_client_free(struct cli_client *c)
{
	struct cli *cli = c->cli;

	ev_io_stop(cli->s.ev, &c->io);
	ev_timer_stop(cli->s.ev, &c->timer);
	close(c->fd);
	if (c->job != NULL)
		cli_job_leave(c->job);
	cli_events_end(c);
	if (c->capture != NULL)
		cli_capture_leave(c->capture);
	sl_list_del(&c->node);
	sl_list_del(&c->turn);
	free(c->out.p);
	free(c);
	cli->stats.clients--;
	if (cli->stats.clients + 1 == cli->maxconn)
		cli_listen_go(cli);
}

/* false: the client is gone. */
static bool
flush(struct cli_client *c)
{
	while (c->out.sent < c->out.len) {
		ssize_t n = write(c->fd, c->out.p + c->out.sent, c->out.len - c->out.sent);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			want(c, EV_WRITE);
			return true;
		}
		if (n <= 0) {
			cli_client_free(c);
			return false;
		}
		c->out.sent += (uint32_t)n;
		restart_timer(c);
	}
	c->out.len = c->out.sent = 0;
	if (c->out.size > 65536) { // a large answer's memory is not kept
		free(c->out.p);
		c->out = (struct cli_out){ 0 };
	}
	if (c->capture != NULL) {
		want(c, c->ended ? 0 : EV_READ);
		return true;
	}
	if (cli_client_waits(c)) { // what comes next is not looked at yet
		want(c, c->events != NULL ? EV_READ : 0);
		return true;
	}
	if (c->closing) {
		cli_client_free(c);
		return false;
	}
	want(c, EV_READ);
	return true;
}

static void
prompt(struct cli_client *c)
{
	if (c->out.cut) {
		static const char text[] = "\n(the answer was too long and is cut here)\n";

		c->cli->stats.cut++;
		c->out.cut = false;
		if (c->out.len > CLI_ANSWER_MAX - sizeof(text))
			c->out.len = CLI_ANSWER_MAX - sizeof(text);
		cli_add(&c->out, text, sizeof(text) - 1);
	}
	if (c->prompt && !c->closing) {
		char who[64] = "";

		if (c->master && c->worker)
			snprintf(who, sizeof(who), "%d", (int)getpid());
		else if (c->master)
			snprintf(who, sizeof(who), "master%s",
				c->cli->s.reloads != NULL && c->cli->s.reloads->last_failed
					? "[ReloadFailed]"
					: "");
		cli_add(&c->out, who, strlen(who));
		cli_add(&c->out, c->payload ? "+ " : "> ", 2);
	} else if (!c->payload) {
		c->closing = true;
	}
}

/* Does the line end in "<<"? Then it is cut off. */
static bool
takes_payload(char *line)
{
	size_t n = strlen(line);

	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	if (n < 2 || line[n - 1] != '<' || line[n - 2] != '<' ||
		(n > 2 && line[n - 3] != ' ' && line[n - 3] != '\t'))
		return false;
	line[n - 2] = '\0';
	return true;
}

/* The end of the next line from `at` on, made a string; NULL: not there yet. *next: behind it. */
static char *
next_line(struct cli_client *c, uint32_t at, uint32_t *next)
{
	char *p = c->in + at, *end = memchr(p, '\n', c->in_len - at);

	if (end == NULL)
		return NULL;
	*next = (uint32_t)(end - c->in) + 1;
	if (end > p && end[-1] == '\r')
		end--;
	*end = '\0';
	return p;
}

static void
consume(struct cli_client *c, uint32_t n)
{
	memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= n;
}

/*
 * Payload lines lie behind the held line; an empty one ends them. They are joined with newlines in
 * place. false: more must come.
 */
static bool
end_of_payload(struct cli_client *c)
{
	uint32_t at = c->held, next, end = 0;

	while (at < c->in_len) {
		char *nl = memchr(c->in + at, '\n', c->in_len - at);
		uint32_t len;

		if (nl == NULL)
			return false;
		next = (uint32_t)(nl - c->in) + 1;
		len = next - 1 - at;
		if (len > 0 && c->in[at + len - 1] == '\r')
			len--;
		if (len == 0) {
			end = at > c->held ? at - 1 : at; // without the last newline
			c->payload = false;
			c->in[end] = '\0';
			c->line_end = next;
			cli_run_line(c, c->in, sl_str_make(c->in + c->held, end - c->held));
			return true;
		}
		at = next;
	}
	return false;
}

static void
too_long(struct cli_client *c)
{
	static const char text[] = "Line too long.\n\n";

	cli_add(&c->out, text, sizeof(text) - 1);
	c->closing = true;
	(void)flush(c);
}

/* Behind a line, or behind one that waits for its payload. false: nothing more can be done now. */
static bool
line_done(struct cli_client *c)
{
	if (cli_client_waits(c)) {
		if (flush(c) && c->out.len == 0 && c->events != NULL)
			cli_events_drained(c);
		return false;
	}
	if (!c->payload) {
		consume(c, c->line_end);
		c->held = 0;
	}
	prompt(c);
	return flush(c);
}

bool
cli_client_drained(struct cli_client *c)
{
	return flush(c) && c->out.len == 0;
}

/* Runs what is complete, one line at a time, as long as answers leave and it is this client's turn. */
static void
process(struct cli_client *c)
{
	for (;;) {
		uint32_t next = 0;
		char *text;

		if (c->out.len > 0 || cli_client_waits(c))
			return; // the answer before has not left
		if (c->in_len > 0 && !cli_turn_take(c)) {
			want(c, 0);
			return;
		}
		if (c->payload) {
			if (!end_of_payload(c))
				break;
		} else {
			text = next_line(c, 0, &next);
			if (text == NULL)
				break;
			if (next > CLI_LINE_MAX) {
				too_long(c);
				return;
			}
			if (takes_payload(text)) {
				c->payload = true;
				c->held = next;
			} else {
				c->line_end = next;
				cli_run_line(c, text, SL_STR_NULL);
			}
		}
		if (!line_done(c))
			return;
	}
	if (c->in_len >= (c->payload ? sizeof(c->in) - 1 : CLI_LINE_MAX))
		too_long(c);
}

/* What it does is charged. */
static void
process_charged(struct cli_client *c)
{
	struct cli *cli = c->cli;

	cli_turn_begin(cli);
	process(c);
	cli_turn_end(cli);
}

void
cli_client_go_on(struct cli_client *c)
{
	char *rest = c->rest;

	cli_add(&c->out, "\n", 1);
	if (rest != NULL)
		cli_run_line(c, rest, SL_STR_NULL);
	if (line_done(c))
		process_charged(c);
}

/* Whatever a client says during its capture, and its end of file, means that it has enough. */
static void
enough(struct cli_client *c)
{
	ssize_t n = read(c->fd, c->in, sizeof(c->in) - 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		cli_client_free(c);
		return;
	}
	c->ended = true;
	if (c->out.len == 0)
		want(c, 0);
	cli_capture_stop(c->capture);
}

void
cli_client_turn(struct cli_client *c)
{
	want(c, EV_READ);
	process(c);
}

static void
readable(struct cli_client *c)
{
	ssize_t n;

	if (c->capture != NULL) {
		enough(c);
		return;
	}
	n = read(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		cli_client_free(c);
		return;
	}
	restart_timer(c);
	if (c->events != NULL) { // any input, which is not looked at
		cli_events_stop(c);
		return;
	}
	c->in_len += (uint32_t)n;
	process(c);
}

static void
on_io(struct ev_loop *ev sl_unused, struct ev_io *io, int events)
{
	struct cli_client *c = io->data;
	struct cli *cli = c->cli;

	if ((events & EV_WRITE) == 0) {
		cli_turn_begin(cli);
		readable(c);
		cli_turn_end(cli);
		return;
	}
	if (!flush(c) || c->out.len > 0)
		return;
	if (c->job != NULL)
		cli_job_drained(c->job);
	else if (c->events != NULL)
		cli_events_drained(c);
	else if (c->capture != NULL)
		cli_capture_drained(c->capture);
	else
		process_charged(c);
}

static void
on_timer(struct ev_loop *ev sl_unused, struct ev_timer *t, int events sl_unused)
{
	struct cli_client *c = t->data;

	if (cli_turn_waits(c))
		return; // it is ours to go on
	if (!cli_client_waits(c) || c->out.len > 0)
		cli_client_free(c); // silent, or does not read; a command that waits is neither
}

void
cli_accept(struct cli *cli, int fd, const struct cli_bind *b)
{
	struct cli_client *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return;
	}
	c->cli = cli;
	c->fd = fd;
	c->level = b->level;
	c->severity = b->severity;
	c->master = b->master;
	c->timeout_ms = cli->timeout_ms;
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	c->timer.data = c;
	sl_list_init(&c->turn);
	sl_list_add_tail(&cli->clients, &c->node);
	cli->stats.clients++;
	cli->stats.accepted++;
	restart_timer(c);
	// most have said what they want by now: a turn of the loop less
	want(c, EV_READ);
	readable(c);
}
