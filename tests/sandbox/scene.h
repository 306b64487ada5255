/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child behind the server's walls: what it works on, how it is set up, and the one attempt that it makes. What the
 * attempts are, and what must become of them, is the tests'.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "service/server/isolation.h"
#include "tests/unit/testing.h"

#define ELEMENTS(array) (sizeof(array) / sizeof(*(array)))
#define NOBODY 65534U
#define MEMORY_SIZE (UINT64_C(1) << 20)

/* What the attempts work on, made before the walls. */
typedef struct Scene Scene;

struct Scene {
        char *root;     /* a temporary directory with: */
        char *allowed;  /* a directory that is among remove_fds, and its file "victim" */
        char *other;    /* one that is not, and its file "victim" */
        char *readable; /* a directory that is among read_paths, and its file "text" */
        int allowed_fd;
        int other_fd;
        int memory_fd;
        int listening_fd; /* an AF_UNIX socket at root/socket, with one connection waiting */
        int client_fd;
        int notify_fd; /* a datagram socket at root/notify */
        pid_t parent;
        sd_event *event;
};

typedef int (*Attempt)(Scene *scene);

typedef struct Run Run;

/* How a child is set up. */
struct Run {
        SeccompMode seccomp;
        bool as_nobody;
};


extern const Run enforced;
extern const Run unfiltered;
extern const Run as_nobody;

bool is_root(void);

/* Fails the test when it cannot be made. scene_clear() frees it and takes its files away. */
Scene *scene_make(void *ctx);
void scene_clear(Scene *scene);

/* A file in a directory. */
void file_make(const char *directory, const char *name);

/* In a child: all stages, or the end. */
void scene_enter(Scene *scene, const Run *run);

/* Tells $NOTIFY_SOCKET that all is ready, from a socket that is made for it, as sd_notify() would, with a descriptor if
 * `fd` is one. Returns what sendmsg() did. */
ssize_t scene_tell_manager(int fd);

/* Forks, enters, attempts. Returns the child's wait status; its exit status is the attempt's errno. */
int attempt_in_child(Scene *scene, const Run *run, Attempt attempt);

/* Forks without entering: for attempts that enter by themselves. */
int attempt_in_plain_child(Scene *scene, Attempt attempt);

/* 0, or the negative errno of a call that returned -1. */
int errno_of(long result);
