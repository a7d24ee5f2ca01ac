/* The least that a policy server in C can do: one thread, epoll, DUNNO to every
   empty line. Nothing but the socket is measured by it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct conn {
	int fd;
	size_t n;
	char buf[16384];
};

static const char answer[] = "action=DUNNO\n\n";

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* 0 when the connection is over. */
static int serve(struct conn *c)
{
	char *end;
	ssize_t got = read(c->fd, c->buf + c->n, sizeof c->buf - c->n);

	if (got < 0 && errno == EAGAIN)
		return 1;
	if (got <= 0)
		return 0;
	c->n += got;
	while ((end = memmem(c->buf, c->n, "\n\n", 2)) != NULL) {
		c->n -= end + 2 - c->buf;
		memmove(c->buf, end + 2, c->n);
		if (write(c->fd, answer, sizeof answer - 1) != sizeof answer - 1)
			return 0;
	}
	return c->n < sizeof c->buf;
}

static void welcome(int ep, int listener)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if ((c = malloc(sizeof *c)) == NULL)
		fail("malloc");
	c->fd = fd;
	c->n = 0;
	ev.data.ptr = c;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		fail("epoll_ctl");
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL }, ready[256];
	int ep, i, n, listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 2 || strlen(argv[1]) >= sizeof addr.sun_path) {
		fprintf(stderr, "usage: floor SOCKET\n");
		return 2;
	}
	strcpy(addr.sun_path, argv[1]);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(listener, 4096) < 0)
		fail(argv[1]);
	if ((ep = epoll_create1(0)) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
		fail("epoll");
	for (;;) {
		if ((n = epoll_wait(ep, ready, 256, -1)) < 0 && errno != EINTR)
			fail("epoll_wait");
		for (i = 0; i < n; i++) {
			struct conn *c = ready[i].data.ptr;

			if (c == NULL) {
				welcome(ep, listener);
			} else if (!serve(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}
