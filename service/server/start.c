/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the command line to a confined, serving process, in this order: definition, socket, memory, background,
 * isolation, READY=1. All that can fail for a reason of the outside world fails before anything is served, and a
 * process that is ready is confined.
 */

#include "service/server/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/log.h"
#include "service/server/backlog.h"
#include "service/server/daemon.h"
#include "service/server/inherited.h"
#include "service/server/isolation.h"
#include "service/server/listener.h"
#include "service/server/load.h"
#include "service/server/memory.h"
#include "service/server/messages.h"
#include "service/server/notify.h"
#include "service/server/options.h"
#include "service/server/reload.h"
#include "service/server/room.h"
#include "service/server/server.h"
#include "service/server/stop-signals.h"
#include "service/server/takeover.h"

#define RUNTIME_DIRECTORY "/run/ivshmem"

/* A socket that refuses legibly must be open to all; who may join is for [Access] to say. */
#define SOCKET_MODE 0666U

/* sysexits.h has these for what the user can mend; systemd shows them by name. */
#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define EXIT_HANDED_OVER 75
#define EXIT_CONFIG 78

/* Before a start that failed is tried again. */
#define RETRY_SECONDS 1

typedef struct Start {
        Options options;
        ServerParts parts;
        Inherited *inherited;
        Server *server;
        OwnFile *pid_file; /* NULL: none */
        int ready;         /* -EBADF: not in the background */
        int n_inherited;   /* descriptors that systemd passed */
        bool *is_legacy;   /* which of them cannot have been there for a first start */
        bool is_running;   /* the ledger of a domain that was served is among them */
        int kept;          /* of them: the definition of a domain that was served; -EBADF: none */
        int blame;         /* the exit status of a start that fails: what somebody has to mend */
        bool serving;      /* what fails now did not fail at the start */
        ServerEnd end;     /* of serving */
        char *error;       /* why a step failed, where errno does not say it all */
} Start;

/* ---- Steps ---- */

/* The definition counts only with the ledger: a domain that begins has to have one of its own. */
static void note_kept(Start *start, const char *const *names, int n) {
        int kept = -EBADF;

        for (int i = 0; i < n; i++) {
                FdName name;

                if (fdname_parse(names[i], &name)) {
                        start->is_running |= name.kind == FD_LEDGER;
                        kept = name.kind == FD_DEFINITION ? SD_LISTEN_FDS_START + i : kept;
                }
        }
        start->kept = start->is_running ? kept : -EBADF;
}

/* Of all that was inherited only what systemd passed is kept: whoever starts us by hand may have left anything open. */
static int close_inherited(Start *start) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(/* unset_environment= */ 0, &names), *keep;

        if (n < 0) {
                return n;
        }
        keep = talloc_array(start, int, (size_t) n);
        start->is_legacy = talloc_zero_array(start, bool, (size_t) n);
        for (int i = 0; keep && start->is_legacy && i < n; i++) {
                FdName name;

                keep[i] = SD_LISTEN_FDS_START + i;
                start->is_legacy[i] = !fdname_parse(names[i], &name) ||
                                      (name.kind != FD_FILE && name.kind != FD_FILE_ERROR);
        }
        note_kept(start, (const char *const *) names, n);
        for (int i = 0; i < n; i++) {
                free(names[i]);
        }
        free(names);
        if (!keep || !start->is_legacy) {
                return -ENOMEM;
        }
        start->n_inherited = n;
        return isolation_close_inherited(keep, (size_t) n);
}

static int raise_descriptors(Start *start) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
                return errno_negative();
        }
        limit.rlim_cur = limit.rlim_max;
        start->parts.nofile = limit.rlim_cur;
        return errno_or(setrlimit(RLIMIT_NOFILE, &limit));
}

static int check_room(Start *start) {
        const Room room = {
                .nofile = start->parts.nofile,
                .fd_store = start->options.fd_store,
                .is_running = start->is_running,
        };

        return start->parts.drop_in ? 0 : room_check(start, &room, start->parts.definition, &start->error);
}

static int load_source(Start *start) {
        int r = source_of(start, &start->options, &start->parts.source, &start->error);

        if (r < 0) {
                return r;
        }
        start->parts.drop_in = options_drop_in(&start->options);
        start->parts.unlinked = start->parts.drop_in && start->options.shm_directory;
        start->parts.verbose = start->options.verbose;
        r = start->parts.drop_in
                    ? load_drop_in(start, &start->options, &start->parts.definition, &start->error)
                    : load_definition(start, &start->parts.source, NAME_SERVICE_FULL,
                                      &start->parts.definition, &start->error);
        if (r >= 0) {
                log_open("ivshmem-server", start->parts.drop_in ? NULL : start->parts.source.name,
                         start->options.verbose ? LOG_DEBUG : start->parts.definition->log_level);
        }
        return r;
}

/* A running domain goes on as it is, whatever became of its definition. `r` and the error say what. */
static int load_predecessors(Start *start, int r) {
        Definition *definition;
        char *error = NULL;

        if (start->kept < 0 || start->parts.drop_in ||
            load_kept(start, start->kept, &definition, &error) < 0) {
                talloc_free(error);
                return r;
        }
        start->parts.definition = definition;
        start->parts.not_taken = start->error ?: strerror(-r);
        start->error = NULL;
        log_open("ivshmem-server", start->parts.source.name,
                 start->options.verbose ? LOG_DEBUG : definition->log_level);
        log_record(LOG_WARNING, MESSAGE_DEFINITION_KEPT, NULL, 0,
                   "Going on with the definition that the server before had: %s", start->parts.not_taken);
        return check_room(start);
}

/* Whatever is wrong with the definition is not mended by another try. */
static int load(Start *start) {
        int r = load_source(start);

        if (r >= 0) {
                r = check_room(start);
        }
        if (r < 0) {
                r = load_predecessors(start, r);
        }
        start->blame = r < 0 ? EXIT_CONFIG : EXIT_UNAVAILABLE;
        return r;
}

/* From the first thing on that has a name, nothing may end us before it is removed. */
static int listen_for_peers(Start *start) {
        uint32_t mode = start->parts.drop_in ? 0 : SOCKET_MODE;
        const char *path = start->options.socket_path;
        int r = stop_signals_hold();

        if (r >= 0) {
                r = inherited_take(start, &start->inherited, &start->error);
        }
        if (r < 0) {
                return r;
        }
        start->parts.control = start->inherited->control;
        if (start->inherited->listener) {
                start->parts.listener = start->inherited->listener;
                return 0;
        }
        path = path ?: talloc_asprintf(start, RUNTIME_DIRECTORY "/%s.sock", start->parts.source.name);
        return path ? listener_open(start, path, mode, &start->parts.listener, &start->parts.socket_file,
                                    &start->error)
                    : -ENOMEM;
}

static int meet_manager(Start *start) {
        int r = notify_new(start, &start->parts.notify);

        if (r < 0) {
                start->error = talloc_asprintf(start, "Cannot use the socket of $NOTIFY_SOCKET: %s",
                                               strerror(-r));
        }
        return r;
}

static int make_domain(Start *start) {
        return takeover(start, &start->parts, start->inherited, start->options.fd_store, &start->error);
}

static bool in_background(const Start *start) {
        return start->parts.drop_in && !start->options.foreground;
}

/* Before sockets, locks and threads, for they belong to the process that makes them. */
static int go_to_background(Start *start) {
        return in_background(start) ? daemon_fork(&start->ready) : 0;
}

/* After the socket, so that a second server does not overwrite what the first wrote. */
static int write_pid(Start *start) {
        int r;

        if (!in_background(start)) {
                return 0;
        }
        r = pidfile_write(start, start->options.pid_file, &start->pid_file);
        if (r < 0) {
                start->error = talloc_asprintf(start, "Cannot write %s: %s; choose another file with -p",
                                               start->options.pid_file, strerror(-r));
        }
        return r;
}

/* The event loop is made before isolation, which then need not allow to make one. */
static int make_server(Start *start) {
        return server_new(start, &start->parts, &start->server);
}

/* ---- Isolation ---- */

typedef struct Descriptors {
        int *fds;
        size_t n;
} Descriptors;

/* Beside those of server and memory: three directories, the background's pipe, the manager's socket. */
#define OTHER_DESCRIPTORS 5U

static int descriptors_init(Descriptors *descriptors, const Start *start) {
        size_t room = server_count_fds(start->server) + MEMORY_FDS_MAX + OTHER_DESCRIPTORS;

        *descriptors = (Descriptors){ .fds = talloc_array(start, int, room) };
        return descriptors->fds ? 0 : -ENOMEM;
}

static void descriptors_add(Descriptors *descriptors, int fd) {
        if (fd >= 0) {
                descriptors->fds[descriptors->n++] = fd;
        }
}

/* The directories in which the end removes something. */
static void own_directories(const Start *start, Descriptors *ret) {
        if (start->parts.socket_file) {
                descriptors_add(ret, ownfile_directory(start->parts.socket_file));
        }
        if (start->pid_file) {
                descriptors_add(ret, ownfile_directory(start->pid_file));
        }
        descriptors_add(ret, memory_directory_fd(start->parts.memory));
}

static const char **readable_paths(Start *start) {
        const char **paths = talloc_zero_array(start, const char *, 16);
        size_t n = 0;

        if (!paths) {
                return NULL;
        }
        paths[n++] = "/proc"; /* the cgroup of a peer */
        if (start->parts.drop_in) {
                return paths;
        }
        /* For the reload: the definition, and the names in it. Editors and useradd(8) replace files, so it takes the
         * directories; but root could read too much in /etc, and has to do with the files as they are now. */
        paths[n++] = "/etc/passwd";
        paths[n++] = "/etc/group";
        if (geteuid() != 0) {
                paths[n++] = "/etc";
        }
        if (start->parts.source.path) {
                paths[n++] = dirname(talloc_strdup(paths, start->parts.source.path));
                return paths;
        }
        for (size_t i = 0; definition_directories[i]; i++) {
                paths[n++] = definition_directories[i];
        }
        return paths;
}

/* What is kept is laid out with the directories first, which are a list of their own. */
static int isolate_with(Start *start, const char **paths, Descriptors *keep) {
        Isolation isolation = { .seccomp = start->options.seccomp, .read_paths = paths };
        const char *stage;
        int r;

        own_directories(start, keep);
        isolation.remove_fds = keep->fds;
        isolation.n_remove_fds = keep->n;
        keep->n += server_list_fds(start->server, keep->fds + keep->n);
        keep->n += memory_list_fds(start->parts.memory, keep->fds + keep->n);
        descriptors_add(keep, start->ready);
        descriptors_add(keep, notify_fd(start->parts.notify));
        isolation.keep_fds = keep->fds;
        isolation.n_keep_fds = keep->n;
        while (paths[isolation.n_read_paths]) {
                isolation.n_read_paths++;
        }
        r = isolation_enter(start, &isolation, &stage);
        if (r < 0) {
                start->error = talloc_asprintf(start, "Cannot confine itself (%s): %s", stage, strerror(-r));
        }
        return r;
}

/* What is made with the privileges of root cannot always be removed without them. */
static void warn_if_it_stays(const char *what, int directory) {
        if (directory >= 0 && !directory_is_writable(directory)) {
                log_plain(
                        LOG_WARNING,
                        "%s will be left behind at the end: this server gives up root's privileges, and its "
                        "directory is another user's; take a directory of root's, or start it as that user",
                        what);
        }
}

static void warn_of_what_stays(const Start *start) {
        if (start->parts.socket_file) {
                warn_if_it_stays(ownfile_path(start->parts.socket_file),
                                 ownfile_directory(start->parts.socket_file));
        }
        if (start->pid_file) {
                warn_if_it_stays(ownfile_path(start->pid_file), ownfile_directory(start->pid_file));
        }
        warn_if_it_stays("The file of the memory", memory_directory_fd(start->parts.memory));
}

static int isolate(Start *start) {
        const char **paths = readable_paths(start);
        Descriptors keep;
        int r = paths ? descriptors_init(&keep, start) : -ENOMEM;

        warn_of_what_stays(start);
        if (r >= 0) {
                r = isolate_with(start, paths, &keep);
                talloc_free(keep.fds);
        }
        talloc_free(paths);
        return r;
}

/* ---- The whole ---- */

static int serve(Start *start) {
        int r;

        start->serving = true;
        if (start->ready >= 0) {
                daemon_ready(&start->ready);
        }
        r = server_run(start->server);
        if (r >= 0) {
                start->end = (ServerEnd) r;
        }
        return r;
}

static int run(Start *start) {
        static int (*const steps[])(Start *) = {
                close_inherited,
                meet_manager,
                raise_descriptors,
                load,
                go_to_background,
                listen_for_peers,
                make_domain,
                write_pid,
                make_server,
                isolate,
                serve,
        };
        int r = 0;

        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && r >= 0; i++) {
                r = steps[i](start);
        }
        return r;
}

static int check(Start *start) {
        int r = raise_descriptors(start);

        if (r >= 0) {
                r = load(start);
        }
        if (r >= 0) {
                printf("%s", definition_print(start, start->parts.definition) ?: "");
        }
        return r;
}

/* `type` 0: of any. */
static bool is_listener(int fd, int type) {
        return sd_is_socket_unix(fd, type, /* listening= */ 1, NULL, 0) > 0;
}

/* Whether a predecessor left something that must not be lost. A file that was handed over for the start is no such
 * thing. */
static bool has_inheritance(const Start *start) {
        bool found = false;

        for (int i = 0; i < start->n_inherited; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                found |= start->is_legacy[i] && fcntl(fd, F_GETFD) >= 0 && !is_listener(fd, /* type= */ 0);
        }
        return found;
}

/* Whether somebody goes on with the domain, and with its file. */
static bool has_successor(const Start *start, int r) {
        if (!start->parts.succession) {
                return false;
        }
        return start->serving ? r < 0 || start->end == SERVER_HANDED_OVER : has_inheritance(start);
}

/* What the program made goes when it ends, however far it came. */
static void clean_up(Start *start, int r) {
        if (start->parts.socket_file) {
                ownfile_remove(start->parts.socket_file);
        }
        if (start->pid_file) {
                ownfile_remove(start->pid_file);
        }
        if (start->parts.memory && !has_successor(start, r)) {
                int removed = memory_remove(start->parts.memory);

                if (removed < 0) {
                        log_plain(LOG_WARNING, "Cannot remove %s: %s", memory_describe(start->parts.memory),
                                  strerror(-removed));
                }
        }
}

/* A server that cannot start answers those who woke it, else they would wake it again. */
static void turn_away(const Start *start) {
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + start->n_inherited; fd++) {
                if (is_listener(fd, SOCK_STREAM)) {
                        backlog_refuse(fd, BACKLOG_READING_MSEC, BACKLOG_PACE_MSEC);
                } else if (is_listener(fd, SOCK_SEQPACKET)) {
                        backlog_close(fd);
                }
        }
}

/*
 * What somebody has to mend is not tried again by systemd (RestartPreventExitStatus=), and who waits is told. But where
 * that would end the lives of a predecessor's peers it is tried until it was mended, at a bearable pace.
 */
static int exit_status(const Start *start) {
        if (start->serving || start->parts.drop_in) {
                return EXIT_FAILURE;
        }
        if (has_inheritance(start)) {
                (void) sleep(RETRY_SECONDS);
                return EXIT_FAILURE;
        }
        turn_away(start);
        return start->blame;
}

/* What the server has refused it has logged itself; the status is the server's, too. */
static int report_reload(int r, const char *why) {
        if (r != -EBADMSG || !getenv("NOTIFY_SOCKET")) {
                log_parting(LOG_ERR, "%s", why);
        }
        return EXIT_FAILURE;
}

static int report(const Start *start, int r) {
        const char *why = start->error ?: strerror(-r);

        if (r >= 0) {
                return start->end == SERVER_HANDED_OVER ? EXIT_HANDED_OVER : EXIT_SUCCESS;
        }
        if (start->options.reload) {
                return report_reload(r, why);
        }
        log_parting(LOG_ERR, "%s", why);
        /* Not with notify.h, which may not have come to be, and is allowed to be late. */
        (void) sd_notifyf(/* unset_environment= */ 0, "STATUS=%s", why);
        return exit_status(start);
}

/* A command line that is wrong: of a drop-in for the unit, or one that another version of the program understands. */
static int misunderstand(Start *start, int r) {
        start->blame = EXIT_USAGE;
        (void) close_inherited(start);
        return r;
}

/* A log that nobody reads any more must not end us. */
static void outlive_log(void) {
        (void) sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
}

int server_main(int argc, char **argv) {
        Start *start = talloc_zero(NULL, Start);
        int r, status;

        if (!start) {
                return EXIT_FAILURE;
        }
        start->ready = -EBADF;
        start->kept = -EBADF;
        start->blame = EXIT_UNAVAILABLE;
        outlive_log();
        log_open("ivshmem-server", NULL, LOG_INFO);
        r = options_parse(start, argc, argv, &start->options, &start->error);
        if (r > 0) {
                status = EXIT_SUCCESS;
        } else {
                r = r < 0                   ? misunderstand(start, r)
                    : start->options.check  ? check(start)
                    : start->options.reload ? reload_request(start, start->options.name, &start->error)
                                            : run(start);
                clean_up(start, r);
                if (r == -ECANCELED) {
                        stop_signals_let_go();
                }
                status = report(start, r);
        }
        talloc_free(start);
        return status;
}
