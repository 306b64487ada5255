/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program. It never fails a start by itself: what it could not do it says to the server, which fails with it as with
 * anything else that keeps a domain from starting.
 */

#include "service/prepare/prepare.h"

#include <errno.h>
#include <libgen.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/core/fdname.h"
#include "service/core/text.h"
#include "service/prepare/prepared.h"
#include "service/server/bag.h"
#include "service/server/load.h"
#include "service/server/memory.h"

#define NOTES "/run/ivshmem-prepare"
#define EVERYBODYS_DIRECTORY "/dev/shm"

#define EXIT_USAGE 64

/* ---- What may be done ---- */

static bool is_roots(const struct stat *st) {
        return st->st_uid == 0 && (st->st_mode & 022U) == 0;
}

bool definition_is_roots(const char *path) {
        char *folder = talloc_strdup(NULL, path);
        struct stat st;
        bool roots;

        roots = folder && stat(dirname(folder), &st) >= 0 && is_roots(&st) && lstat(path, &st) >= 0 &&
                S_ISREG(st.st_mode) && is_roots(&st);
        talloc_free(folder);
        return roots;
}

#define BY_ROOT_ONLY "; write the definition as root into " SYSCONFDIR "/ivshmem"

char *definition_forbids(void *ctx, const Definition *definition, bool roots) {
        const char *path = definition->path, *slash = strrchr(path, '/');

        if (roots) {
                return NULL;
        }
        if ((size_t) (slash - path) != strlen(EVERYBODYS_DIRECTORY) ||
            strncmp(path, EVERYBODYS_DIRECTORY, strlen(EVERYBODYS_DIRECTORY)) != 0) {
                return talloc_asprintf(
                        ctx,
                        "Path=%s is not directly in " EVERYBODYS_DIRECTORY
                        ", and others than root can have written this definition" BY_ROOT_ONLY,
                        path);
        }
        /* Programs trust files in there by who owns them, and whoever has the domain writes what he likes. */
        if (definition->path_user.text && definition->owner.id != 0 &&
            definition->path_user.id != definition->owner.id) {
                return talloc_asprintf(ctx,
                                       "PathUser=%s is another than Owner=, which takes a definition that "
                                       "nobody but root can have written" BY_ROOT_ONLY,
                                       definition->path_user.text);
        }
        if (definition->keep == KEEP_ALWAYS || definition->path_label) {
                return talloc_asprintf(
                        ctx, "%s takes a definition that nobody but root can have written" BY_ROOT_ONLY,
                        definition->path_label ? "PathLabel=" : "Keep=always");
        }
        return NULL;
}

/* A file that a tenant has chosen the name of and writes to must not look as if it were root's. */
static void file_of_owner(Definition *definition, bool roots) {
        if (!roots && !definition->path_user.text) {
                definition->path_user = definition->owner;
        }
}

/* The definition that counts. Negative errno when there is none. */
static int find_definition(void *ctx, const char *name, const char **ret) {
        for (size_t i = 0; definition_directories[i]; i++) {
                char *path = talloc_asprintf(ctx, "%s/%s.domain", definition_directories[i], name);
                struct stat st;

                if (!path) {
                        return -ENOMEM;
                }
                if (lstat(path, &st) >= 0 || errno != ENOENT) {
                        *ret = path;
                        return 0;
                }
        }
        return -ENOENT;
}

/* ---- With which privileges ---- */

#define CAPABILITIES                                                                               \
        (1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | \
         1U << CAP_SYS_RESOURCE)
#define LABEL_CAPABILITIES (1U << CAP_SYS_ADMIN | UINT64_C(1) << CAP_MAC_ADMIN)

/* What a name in a file system, its owner and its label take, and what root has to send descriptors however many are in
 * flight. The name service is not asked any more. */
static int confine(const Definition *definition) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
        uint64_t wanted = CAPABILITIES | (definition->path_label ? LABEL_CAPABILITIES : 0);

        if (syscall(SYS_capget, &header, sets) < 0) {
                return errno_negative();
        }
        for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                sets[i].permitted &= (uint32_t) (wanted >> (32 * i));
                sets[i].effective = sets[i].permitted;
                sets[i].inheritable = 0;
        }
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
                return errno_negative();
        }
        return errno_or((int) syscall(SYS_capset, &header, sets));
}

/* ---- Handing over ---- */

/* Descriptors in flight are counted for all of root's processes together, whoever has sent so many; they come down again. */
static int once_more(int r, unsigned *tries) {
        static const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

        if (r != -ETOOMANYREFS || ++*tries > 200) {
                return 0;
        }
        nanosleep(&pause, NULL);
        return 1;
}

static int store(const FdName *name, int fd) {
        char text[FDNAME_SIZE], message[sizeof("FDSTORE=1\nFDPOLL=0\nFDNAME=") + FDNAME_SIZE];
        unsigned tries = 0;
        int r;

        fdname_format(name, text);
        snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", text);
        do {
                r = sd_pid_notify_with_fds(0, /* unset_environment= */ 0, message, &fd, 1);
        } while (once_more(r, &tries));
        return r == 0 ? -ENOTCONN : r;
}

static int hand_over(const Memory *memory) {
        cleanup_close int bag = -EBADF;
        int fds[MEMORY_FILE_FDS];
        const char *path = memory_file(memory, fds);
        unsigned tries = 0;

        do {
                bag = bag_new(fds, MEMORY_FILE_FDS, path);
        } while (once_more(bag, &tries));
        return bag < 0 ? bag : store(&(FdName){ .kind = FD_FILE }, bag);
}

static int hand_over_error(const char *why) {
        cleanup_close int fd = memfd_create("ivshmem-file-error", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || write(fd, why, strlen(why)) < 0) {
                return errno_negative();
        }
        return store(&(FdName){ .kind = FD_FILE_ERROR }, fd);
}

/* ---- The program ---- */

typedef struct Request {
        const char *domain;
        Definition *definition;
        bool roots;
        bool made_directory;
        char *error;
} Request;

static int note(Request *request, const Memory *memory) {
        int fds[MEMORY_FILE_FDS], r;
        Prepared prepared = { .path = memory_file(memory, fds) };
        struct stat st;

        if (fstat(fds[MEMORY_FILE_SHARED], &st) < 0) {
                return errno_negative();
        }
        prepared.device = st.st_dev;
        prepared.inode = st.st_ino;
        prepared.remove = memory_directory_fd(memory) >= 0;
        prepared.remove_directory = prepared.remove && request->made_directory;
        r = prepared_save(NOTES, request->domain, &prepared);
        if (r < 0) {
                request->error = talloc_asprintf(request, "Cannot note the file in " NOTES ": %s",
                                                 strerror(-r));
        }
        return r;
}

/* The last directory of the path is made if it is missing, such as one of a hugetlbfs just mounted. What cannot be made
 * shows when the file is. */
static void make_directory(Request *request) {
        const char *folder = dirname(talloc_strdup(request, request->definition->path));
        cleanup_close int parent = directory_open_without_links(dirname(talloc_strdup(request, folder)));

        (void) umask(022);
        request->made_directory = parent >= 0 &&
                                  mkdirat(parent, basename(talloc_strdup(request, folder)), 0755) >= 0;
}

static int prepare_file(Request *request, Memory **ret) {
        const MemoryRequest memory_request = {
                .name = request->domain,
                .definition = request->definition,
                .no_links = true,
                .only_new = !request->roots,
        };
        int r;

        request->error = definition_forbids(request, request->definition, request->roots);
        if (request->error) {
                return -EPERM;
        }
        file_of_owner(request->definition, request->roots);
        r = confine(request->definition);
        if (r >= 0 && request->roots) {
                make_directory(request);
        }
        if (r >= 0) {
                r = memory_prepare(request, &memory_request, ret, &request->error);
        }
        if (r < 0 && request->made_directory) {
                prepared_drop_directory(request->definition->path);
        }
        return r;
}

static int prepare(Request *request) {
        Memory *memory;
        int r = prepare_file(request, &memory);

        if (r < 0) {
                return r;
        }
        r = note(request, memory);
        if (r < 0) {
                (void) memory_remove(memory);
                return r;
        }
        r = hand_over(memory);
        if (r < 0) {
                (void) prepared_end(NOTES, request->domain);
                request->error = talloc_asprintf(
                        request, "Cannot hand the file over to the service manager: %s", strerror(-r));
        }
        return r;
}

/* Whether there is anything to do: a definition with Path= of a domain that is about to begin. One that is wrong the
 * server finds wrong as well, and says so. */
static bool is_asked_for(Request *request) {
        Source source = { .name = request->domain };
        Prepared *prepared;
        char *error;

        if (find_definition(request, request->domain, &source.path) < 0 ||
            load_definition(request, &source, NAME_SERVICE_FULL, &request->definition, &error) < 0 ||
            !request->definition->path) {
                return false;
        }
        request->roots = definition_is_roots(source.path);
        return prepared_load(request, NOTES, request->domain, &prepared) == -ENOENT;
}

static void begin(Request *request) {
        const char *why;
        int r;

        if (!is_asked_for(request)) {
                return;
        }
        r = prepare(request);
        if (r >= 0) {
                return;
        }
        why = request->error ?: strerror(-r);
        if (hand_over_error(why) < 0) {
                fprintf(stderr, "%s\n", why);
        }
}

static int end(const char *domain) {
        int r = prepared_end(NOTES, domain);

        if (r < 0) {
                fprintf(stderr, "Cannot remove the file that was the memory of domain %s: %s\n", domain,
                        strerror(-r));
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int help(void) {
        printf("ivshmem-prepare NAME\n"
               "ivshmem-prepare --end NAME\n"
               "ivshmem-prepare --name NAME\n\n"
               "Opens the file that is the memory of a domain (Path=) for its server, with the privileges\n"
               "that this takes. The service manager runs it.\n\n"
               "      --end                    the domain has ended: remove what was made for it\n"
               "      --name                   only check that this can be a domain's name\n"
               "      --help                   show this help\n"
               "      --version                show the version\n"
               "\nSee ivshmem-prepare(8).\n");
        return EXIT_SUCCESS;
}

static int start(const char *domain) {
        Request *request = talloc_zero(NULL, Request);

        if (request) {
                request->domain = domain;
                begin(request);
        }
        talloc_free(request);
        return EXIT_SUCCESS;
}

static int name_is_good(const char *domain) {
        return EXIT_SUCCESS;
}

typedef int Action(const char *domain);

/* What is to be done with a domain; NULL: that is no option. */
static Action *action_of(const char *option) {
        return !option                         ? start
               : strcmp(option, "--end") == 0  ? end
               : strcmp(option, "--name") == 0 ? name_is_good
                                               : NULL;
}

int prepare_main(int argc, char **argv) {
        Action *action = action_of(argc == 3 ? argv[1] : NULL);

        if (argc == 2 && strcmp(argv[1], "--help") == 0) {
                return help();
        }
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                printf("ivshmem-prepare %s\n", PROJECT_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc < 2 || argc > 3 || !action) {
                fprintf(stderr,
                        "ivshmem-prepare: it takes the NAME of one domain, or an option and a NAME; see --help\n");
                return EXIT_USAGE;
        }
        if (!domain_name_is_valid(argv[argc - 1])) {
                fprintf(stderr, "ivshmem-prepare: \"%s\" is not a domain's name: " DOMAIN_NAME_RULE "\n",
                        argv[argc - 1]);
                return EXIT_USAGE;
        }
        return action(argv[argc - 1]);
}
