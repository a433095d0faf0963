/* Who serves a unix socket. */
#ifndef DAEMON_BASE_SOCKET_H
#define DAEMON_BASE_SOCKET_H

/* The pid of the process that answers on this socket, 0 if none does, -1 if it is another user's. Never waits. */
int socket_server(const char *path);

#endif
