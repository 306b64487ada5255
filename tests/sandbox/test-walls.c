/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each wall stands also without the one after it: capabilities, Landlock, descriptors, modes of the filter. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "service/server/landlock.h"
#include "tests/sandbox/scene.h"

static void assert_child(int status, int exit_status) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != exit_status) {
                fail_msg("the child's wait status is %#x", (unsigned) status);
        }
}

static long status_number(const char *field, int base) {
        char line[256];
        FILE *file = fopen("/proc/self/status", "re");
        long number = -1;

        while (file && fgets(line, sizeof(line), file)) {
                if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':') {
                        number = strtol(line + strlen(field) + 1, NULL, base);
                }
        }
        if (file) {
                fclose(file);
        }
        return number;
}

static int try_status_without_filter(Scene *scene) {
        return status_number("Seccomp", 10) == 0 && status_number("NoNewPrivs", 10) == 1 ? 0 : -EIO;
}

/* A call that is not granted goes through, and a filter is there. */
static int try_status_with_log(Scene *scene) {
        return getppid() == scene->parent && status_number("Seccomp", 10) == 2 ? 0 : -EIO;
}

static void test_modes(void **state) {
        const Run log = { .seccomp = SECCOMP_LOG };
        Scene *scene = scene_make(*state);

        assert_child(attempt_in_child(scene, &unfiltered, try_status_without_filter), 0);
        assert_child(attempt_in_child(scene, &log, try_status_with_log), 0);
        scene_clear(scene);
}

/* --- the other walls --- */

static int try_status(Scene *scene) {
        static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };

        for (size_t i = 0; i < ELEMENTS(sets); i++) {
                if (status_number(sets[i], 16) != 0) {
                        return -EPERM;
                }
        }
        if (status_number("NoNewPrivs", 10) != 1 || status_number("Seccomp", 10) != 2) {
                return -EIO;
        }
        return 0;
}

static int try_bounding_set(Scene *scene) {
        return status_number("CapBnd", 16) == 0 ? 0 : -EPERM;
}

static void test_status(void **state) {
        Scene *scene = scene_make(*state);

        assert_child(attempt_in_child(scene, &enforced, try_status), 0);
        if (is_root()) {
                assert_child(attempt_in_child(scene, &enforced, try_bounding_set), 0);
                assert_child(attempt_in_child(scene, &as_nobody, try_status), 0);
        }
        scene_clear(scene);
}

static int try_core_dumps(Scene *scene) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max != 0) {
                return -EIO;
        }
        return prctl(PR_GET_DUMPABLE) == 0 ? 0 : -EIO;
}

/* Root without capabilities is an ordinary user that owns much: what it does not own stays closed. */
static int try_override(Scene *scene) {
        return errno_of(openat(scene->other_fd, "closed", O_RDONLY | O_CLOEXEC));
}

static void test_root_without_capabilities(void **state) {
        Scene *scene = scene_make(*state);
        int status;

        assert_child(attempt_in_child(scene, &unfiltered, try_core_dumps), 0);
        if (is_root()) {
                file_make(scene->other, "closed");
                assert_int_equal(fchownat(scene->other_fd, "closed", NOBODY, NOBODY, 0), 0);
                assert_int_equal(fchmodat(scene->other_fd, "closed", 0600, 0), 0);
                status = attempt_in_child(scene, &unfiltered, try_override);
                assert_int_equal(unlinkat(scene->other_fd, "closed", 0), 0);
                assert_int_equal(WEXITSTATUS(status), EACCES);
        }
        scene_clear(scene);
}

/* Landlock alone, without seccomp above it. */
static int try_unlink_other(Scene *scene) {
        return errno_of(unlinkat(scene->other_fd, "victim", 0));
}

static int try_read_other(Scene *scene) {
        return errno_of(open("/etc/hostname", O_RDONLY | O_CLOEXEC));
}

static int try_write_readable(Scene *scene) {
        char path[256];

        snprintf(path, sizeof(path), "%s/text", scene->readable);
        return errno_of(open(path, O_WRONLY | O_CLOEXEC));
}

static int try_truncate_readable(Scene *scene) {
        char path[256];

        snprintf(path, sizeof(path), "%s/text", scene->readable);
        return errno_of(truncate(path, 1));
}

static int try_create(Scene *scene) {
        return errno_of(openat(scene->allowed_fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_rename(Scene *scene) {
        return errno_of(renameat(scene->allowed_fd, "victim", scene->allowed_fd, "moved"));
}

static int try_execute(Scene *scene) {
        char *const arguments[] = { (char *) "true", NULL };

        return errno_of(execv("/bin/true", arguments));
}

static int try_signal(Scene *scene) {
        return errno_of(kill(scene->parent, 0));
}

static int try_tcp(Scene *scene) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(9),
                                       .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd < 0 ? -errno : errno_of(connect(fd, (const struct sockaddr *) &address, sizeof(address)));
}

static void test_landlock_alone(void **state) {
        static const struct {
                const char *what;
                Attempt attempt;
                int abi;
                int result;
        } table[] = {
                { "read elsewhere", try_read_other, 1, EACCES },
                { "unlink elsewhere", try_unlink_other, 1, EACCES },
                { "write where reading is allowed", try_write_readable, 1, EACCES },
                { "truncate where reading is allowed", try_truncate_readable, 3, EACCES },
                { "create where removing is allowed", try_create, 1, EACCES },
                { "rename where removing is allowed", try_rename, 1, EACCES },
                { "execute", try_execute, 1, EACCES },
                { "connect by TCP", try_tcp, 4, EACCES },
                { "signal another process", try_signal, 6, EPERM },
        };
        Scene *scene;

        if (landlock_abi() == 0) {
                print_message("# skipped: no Landlock in this kernel\n");
                return;
        }
        scene = scene_make(*state);
        for (size_t i = 0; i < ELEMENTS(table); i++) {
                int status;

                if (landlock_abi() < table[i].abi) {
                        print_message("# %s: needs Landlock %d\n", table[i].what, table[i].abi);
                        continue;
                }
                status = attempt_in_child(scene, &unfiltered, table[i].attempt);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != table[i].result) {
                        fail_msg("%s: wait status %#x", table[i].what, (unsigned) status);
                }
        }
        scene_clear(scene);
}

/* --- $NOTIFY_SOCKET in the abstract name space --- */

static int abstract_socket(const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address,
                              (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                         0);
        return fd;
}

static char abstract_name[64];

static int try_notify_abstract(Scene *scene) {
        unsetenv("NOTIFY_SOCKET");
        setenv("NOTIFY_SOCKET", abstract_name, 1);
        scene_enter(scene, &enforced);
        return scene_tell_manager(-EBADF) > 0 ? 0 : -EPERM;
}

/* The name is learnt too late: who is not the manager stays out of reach. */
static int try_notify_stranger(Scene *scene) {
        unsetenv("NOTIFY_SOCKET");
        scene_enter(scene, &enforced);
        setenv("NOTIFY_SOCKET", abstract_name, 1);
        return scene_tell_manager(-EBADF) > 0 ? 0 : -EPERM;
}

static void test_abstract_notify_socket(void **state) {
        Scene *scene = scene_make(*state);
        int fd;

        snprintf(abstract_name, sizeof(abstract_name), "@ivshmem-sandbox-%d", (int) getpid());
        fd = abstract_socket(abstract_name);
        assert_child(attempt_in_plain_child(scene, try_notify_abstract), 0);
        if (landlock_abi() >= 6) {
                assert_child(attempt_in_plain_child(scene, try_notify_stranger), EPERM);
        } else {
                print_message("# abstract sockets: needs Landlock 6\n");
        }
        close(fd);
        scene_clear(scene);
}

/* --- descriptors --- */

/* Opens what must be closed and what must stay, and compares with what is left. */
static int try_descriptors(Scene *scene) {
        const int keep[] = { scene->memory_fd };
        const Isolation isolation = { .seccomp = SECCOMP_OFF, .keep_fds = keep, .n_keep_fds = 1 };
        int pair[2], journal, closed[6];
        const char *stage;

        if (isolation_close_inherited(keep, 1) < 0) {
                return -EIO;
        }
        if (fcntl(scene->allowed_fd, F_GETFD) >= 0 || fcntl(scene->listening_fd, F_GETFD) >= 0 ||
            fcntl(scene->memory_fd, F_GETFD) < 0) {
                return -EBADF;
        }
        if (sd_event_new(&scene->event) < 0) {
                return -EIO;
        }
        journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        closed[0] = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        closed[1] = open("/tmp", O_PATH | O_CLOEXEC);
        closed[2] = eventfd(0, EFD_CLOEXEC);
        closed[3] = memfd_create("other", MFD_CLOEXEC);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
            isolation_enter(NULL, &isolation, &stage) < 0) {
                return -EIO;
        }
        closed[4] = pair[0];
        closed[5] = pair[1];
        for (size_t i = 0; i < ELEMENTS(closed); i++) {
                if (fcntl(closed[i], F_GETFD) >= 0) {
                        return -EEXIST;
                }
        }
        return fcntl(journal, F_GETFD) >= 0 && fcntl(sd_event_get_fd(scene->event), F_GETFD) >= 0 &&
                               fcntl(scene->memory_fd, F_GETFD) >= 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0
                       ? 0
                       : -EBADF;
}

static void test_descriptors(void **state) {
        Scene *scene = scene_make(*state);

        assert_child(attempt_in_plain_child(scene, try_descriptors), 0);
        scene_clear(scene);
}

static int try_standard_descriptors(Scene *scene) {
        struct stat null, st;

        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        if (isolation_close_inherited(NULL, 0) < 0 || stat("/dev/null", &null) < 0) {
                return 1;
        }
        for (int fd = 0; fd < STDERR_FILENO; fd++) {
                if (fstat(fd, &st) < 0 || st.st_rdev != null.st_rdev) {
                        return 2;
                }
        }
        return 0;
}

static void test_standard_descriptors(void **state) {
        Scene *scene = scene_make(*state);

        assert_child(attempt_in_plain_child(scene, try_standard_descriptors), 0);
        scene_clear(scene);
}

/* --- a stage that cannot be done --- */

static int try_failure(const Isolation *isolation, const char *expected_stage, int expected_result) {
        const char *stage = "none";
        int r = isolation_enter(NULL, isolation, &stage);

        if (r != expected_result || strcmp(stage, expected_stage) != 0) {
                fprintf(stderr, "# stage %s: %s\n", stage, strerror(-r));
                return -EIO;
        }
        return 0;
}

static int try_bad_directory(Scene *scene) {
        const int bad = 12345;
        const Isolation isolation = { .seccomp = SECCOMP_OFF, .remove_fds = &bad, .n_remove_fds = 1 };

        return try_failure(&isolation, "landlock", -EBADF);
}

static void *thread_wait(void *argument) {
        pause();
        return NULL;
}

static int try_two_threads(Scene *scene) {
        const Isolation isolation = { .seccomp = SECCOMP_OFF };
        pthread_t thread;
        int r = pthread_create(&thread, NULL, thread_wait, NULL);

        return r == 0 ? try_failure(&isolation, "threads", -EBUSY) : -r;
}

static void test_failure_names_the_stage(void **state) {
        Scene *scene = scene_make(*state);

        if (landlock_abi() > 0) {
                assert_child(attempt_in_plain_child(scene, try_bad_directory), 0);
        } else {
                print_message("# no Landlock in this kernel\n");
        }
        assert_child(attempt_in_plain_child(scene, try_two_threads), 0);
        scene_clear(scene);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_modes),
                TEST(test_status),
                TEST(test_root_without_capabilities),
                TEST(test_landlock_alone),
                TEST(test_abstract_notify_socket),
                TEST(test_descriptors),
                TEST(test_standard_descriptors),
                TEST(test_failure_names_the_stage),
        };

        return cmocka_run_group_tests_name("walls", tests, NULL, NULL);
}
