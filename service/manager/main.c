/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ivshmemd: launcher, manager and bus are put together here, and nowhere else does one see the others. What is in this
 * file is the program's life: start, signals, what systemd is told, and the end, which nobody must notice who calls.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <unistd.h>

#include "dbus/bus.h"
#include "dbus/names.h"
#include "service/base/event.h"
#include "service/base/log.h"
#include "service/core/text.h"
#include "service/manager/launcher.h"
#include "service/manager/manager.h"
#include "service/manager/options.h"

/* sysexits(3), as ivshmem-server has them. */
#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69

#define USEC_PER_SEC UINT64_C(1000000)

typedef struct Daemon {
        ManagerOptions options;
        Event *event;
        Manager *manager;
        Bus *bus;
        EventSource *idle;
        EventSource *signals[3];
        bool leaving; /* for want of something to do: no calls come any more but those under way */
} Daemon;

/* ---- The end ---- */

static void end(Daemon *daemon, int status) {
        (void) sd_event_exit(daemon->event->loop, status);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Daemon *daemon = talloc_get_type_abort(userdata, Daemon);

        (void) sd_notify(/* unset_environment= */ false, "STOPPING=1");
        end(daemon, EXIT_SUCCESS);
        return 0;
}

/* Whoever calls us from now on by our name has systemd start a successor, but only if systemd knows that we are on our
 * way; and what was sent to us before is answered still. */
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *daemon = talloc_get_type_abort(userdata, Daemon);
        int r;

        daemon->leaving = true;
        (void) sd_notify(/* unset_environment= */ false, "STOPPING=1\nSTATUS=Nothing to do");
        r = bus_release(daemon->bus);
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot give up the name on the bus: %s", strerror(-r));
                end(daemon, EXIT_FAILURE);
        }
        return 0;
}

static void on_released(void *userdata) {
        log_plain(LOG_DEBUG, "Nothing to do any more");
        end(talloc_get_type_abort(userdata, Daemon), EXIT_SUCCESS);
}

static void on_lost(const char *what, void *userdata) {
        log_plain(LOG_ERR, "%s", what);
        end(talloc_get_type_abort(userdata, Daemon), EXIT_FAILURE);
}

/* ---- While it runs ---- */

static void say_status(const Daemon *daemon, const char *first) {
        (void) sd_notifyf(/* unset_environment= */ false, "%sSTATUS=%zu domain%s%s", first,
                          manager_count(daemon->manager), plural(manager_count(daemon->manager)),
                          bus_is_idle(daemon->bus) ? ", nothing to do" : "");
}

static void watch_idleness(Daemon *daemon, bool idle) {
        if (idle && daemon->options.idle > 0) {
                (void) event_source_arm_timer(daemon->idle, daemon->options.idle * USEC_PER_SEC);
        } else {
                (void) sd_event_source_set_enabled(daemon->idle->source, SD_EVENT_OFF);
        }
}

static void on_idle_changed(bool idle, void *userdata) {
        Daemon *daemon = talloc_get_type_abort(userdata, Daemon);

        if (!daemon->leaving) {
                watch_idleness(daemon, idle);
                say_status(daemon, "");
        }
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Daemon *daemon = talloc_get_type_abort(userdata, Daemon);

        manager_reload(daemon->manager);
        say_status(daemon, "");
        return 0;
}

/* ---- The start ---- */

static int fail(int r, const char *what) {
        log_parting(LOG_ERR, "%s: %s", what, strerror(-r));
        return r;
}

static int make_loop(Daemon *daemon) {
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } handlers[] = {
                { SIGTERM, on_terminate },
                { SIGINT, on_terminate },
                { SIGHUP, on_reload },
        };
        int r = event_new(daemon, &daemon->event);

        for (size_t i = 0; r >= 0 && i < sizeof(handlers) / sizeof(*handlers); i++) {
                r = event_add_signal(daemon, daemon->event, handlers[i].signal, handlers[i].handler, daemon,
                                     &daemon->signals[i]);
        }
        if (r >= 0) {
                r = event_add_timer(daemon, daemon->event, SD_EVENT_PRIORITY_NORMAL, on_idle, daemon,
                                    &daemon->idle);
        }
        if (r >= 0) {
                r = sd_event_set_watchdog(daemon->event->loop, /* b= */ true);
        }
        return r < 0 ? fail(r, "Cannot make an event loop") : 0;
}

/* Of this user alone: whoever may write there may have us start what he likes. */
static int make_directory(const char *path) {
        struct stat found;

        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                return fail(-errno, path);
        }
        if (stat(path, &found) < 0) {
                return fail(-errno, path);
        }
        if (!S_ISDIR(found.st_mode)) {
                return fail(-ENOTDIR, path);
        }
        if (found.st_uid != geteuid() || (found.st_mode & 022) != 0) {
                log_parting(LOG_ERR,
                            "%s: it must belong to the user that ivshmemd runs as, and nobody else may "
                            "write there; choose a directory that is the manager's alone",
                            path);
                return -EPERM;
        }
        return 0;
}

static int make_launcher(Daemon *daemon, Launcher **ret) {
        const ManagerOptions *options = &daemon->options;
        Failure failure;
        int r;

        if (!options->embedded) {
                r = launcher_systemd_new(daemon, daemon->event, ret);
                return r < 0 ? fail(r, "Cannot follow systemd") : 0;
        }
        r = make_directory(options->directory);
        if (r < 0) {
                return r;
        }
        r = launcher_embedded_new(daemon, daemon->event, options->directory, options->server, ret, &failure);
        if (r == -EREMOTEIO) {
                log_parting(LOG_ERR, "%s", failure.text);
                return r;
        }
        return r < 0 ? fail(r, options->directory) : 0;
}

static int make_manager(Daemon *daemon) {
        ManagerParts parts = { .event = daemon->event, .directory = daemon->options.directory };
        int r = make_launcher(daemon, &parts.launcher);

        if (r < 0) {
                return r;
        }
        r = manager_new(daemon, &parts, &daemon->manager);
        return r < 0 ? fail(r, "Cannot manage domains") : 0;
}

/* One descriptor, called "bus": anything else was meant for somebody else. */
static int check_inherited(int n, char *const *names) {
        if (n > 1) {
                log_parting(LOG_ERR, "There are %d inherited descriptors; only the private socket is wanted",
                            n);
                return -EINVAL;
        }
        if (strcmp(names[0], "bus") != 0) {
                log_parting(
                        LOG_ERR,
                        "The inherited descriptor is called \"%s\", not \"bus\"; set FileDescriptorName=bus in "
                        "the socket unit",
                        names[0]);
                return -EINVAL;
        }
        return 0;
}

static void free_names(char **names) {
        for (size_t i = 0; names && names[i]; i++) {
                free(names[i]);
        }
        free(names);
}

/* The private socket that systemd hands us; the result is how many there are. */
static int listen_inherited(Daemon *daemon) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(/* unset_environment= */ true, &names);
        int r = n > 0 ? check_inherited(n, names) : 0;

        free_names(names);
        if (n <= 0 || r < 0) {
                return n < 0 ? fail(n, "What systemd hands over is not understood") : r;
        }
        r = bus_listen(daemon->bus, SD_LISTEN_FDS_START);
        if (r < 0) {
                return fail(r, "The inherited descriptor is no listening socket (AF_UNIX, SOCK_STREAM)");
        }
        return n;
}

static int listen_embedded(Daemon *daemon) {
        char *path = talloc_asprintf(daemon, "%s/" BUS_EMBEDDED_SOCKET, daemon->options.directory);
        int r = path ? bus_listen_at(daemon->bus, path) : -ENOMEM;

        if (r == -EADDRINUSE) {
                log_parting(LOG_ERR, "%s: somebody listens there already; is it another ivshmemd?", path);
                return r;
        }
        return r < 0 ? fail(r, path ? path : "Cannot listen") : 0;
}

/* Without a system bus root can manage still, over the other socket if there is one. */
static int connect_system(Daemon *daemon, bool other) {
        int r = bus_open_system(daemon->bus);

        if (r < 0 && other && r != -EEXIST) {
                log_plain(LOG_WARNING, "The system bus cannot be used, only the private socket: %s",
                          strerror(-r));
                return 0;
        }
        if (r == -EEXIST) {
                log_parting(LOG_ERR, "Somebody has the name " BUS_NAME " on the system bus already; is it "
                                     "another ivshmemd?");
                return r;
        }
        if (!daemon->options.embedded && (r == -ENOENT || r == -ECONNREFUSED)) {
                log_parting(LOG_ERR,
                            "There is no system bus (%s); without one, start ivshmemd with --embedded",
                            strerror(-r));
                return r;
        }
        return r < 0 ? fail(r, "Cannot use the system bus") : 0;
}

static int make_bus(Daemon *daemon) {
        const BusOps ops = {
                .idle_changed = on_idle_changed,
                .lost = on_lost,
                .released = on_released,
                .userdata = daemon,
        };
        int r = bus_new(daemon, daemon->event, daemon->manager, &ops, &daemon->bus);

        if (r < 0) {
                return fail(r, "Cannot make the bus");
        }
        r = daemon->options.embedded ? listen_embedded(daemon) : listen_inherited(daemon);
        if (r < 0 || !daemon->options.system_bus) {
                return r;
        }
        return connect_system(daemon, /* other= */ !daemon->options.embedded && r > 0);
}

/* ---- The program ---- */

static int run(Daemon *daemon) {
        int r = make_loop(daemon);

        if (r >= 0) {
                r = make_manager(daemon);
        }
        if (r >= 0) {
                r = make_bus(daemon);
        }
        if (r < 0) {
                return EXIT_UNAVAILABLE;
        }
        watch_idleness(daemon, bus_is_idle(daemon->bus));
        say_status(daemon, "READY=1\n");
        r = sd_event_loop(daemon->event->loop);
        if (r < 0) {
                (void) fail(r, "The event loop failed");
                r = EXIT_FAILURE;
        }
        return r;
}

int main(int argc, char **argv) {
        Daemon *daemon = talloc_zero(NULL, Daemon);
        char *error = NULL;
        int r = daemon ? manager_options_parse(daemon, argc, argv, &daemon->options, &error) : -ENOMEM;

        if (r != MANAGER_OPTIONS_OK) {
                if (r < 0) {
                        fprintf(stderr, "ivshmemd: %s\n", error ? error : strerror(-r));
                }
                talloc_free(daemon);
                return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
        }
        log_open("ivshmemd", /* domain= */ NULL, daemon->options.verbose ? LOG_DEBUG : LOG_INFO);
        (void) sigaction(SIGPIPE, &(const struct sigaction){ .sa_handler = SIG_IGN }, NULL);
        r = run(daemon);
        /* Each needs the ones behind it. */
        TALLOC_FREE(daemon->bus);
        TALLOC_FREE(daemon->manager);
        talloc_free(daemon);
        return r;
}
