/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding and reading the configuration. What it means is the core's. */

#include "service/manager/limits.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>

#include "service/base/error.h"
#include "service/base/log.h"
#include "service/core/config.h"
#include "service/manager/file.h"
#include "service/manager/names.h"

#define FILE_NAME "ivshmemd.conf"
#define DROP_IN_SUFFIX ".conf"

struct Limits {
        const char **directories;
        bool unlimited;
        Config *config; /* NULL: nothing was read yet */
};

typedef struct DropIn {
        char *name;
        char *path;
} DropIn;

/* The files of a reading, in order. */
typedef struct Files {
        DropIn *drop_ins;
        size_t n;
} Files;

/* ---- Finding ---- */

/* The name of a directory with higher precedence hides those of the others. */
static int add_drop_in(Files *files, const char *directory, const char *name) {
        DropIn *drop_ins;

        for (size_t i = 0; i < files->n; i++) {
                if (strcmp(files->drop_ins[i].name, name) == 0) {
                        return 0;
                }
        }
        drop_ins = talloc_realloc(files, files->drop_ins, DropIn, files->n + 1);
        if (!drop_ins) {
                return -ENOMEM;
        }
        files->drop_ins = drop_ins;
        drop_ins[files->n].name = talloc_strdup(files, name);
        drop_ins[files->n].path = talloc_asprintf(files, "%s/%s", directory, name);
        if (!drop_ins[files->n].name || !drop_ins[files->n].path) {
                return -ENOMEM;
        }
        files->n++;
        return 0;
}

static int scan_drop_ins(Files *files, const char *path) {
        DIR *directory = opendir(path);
        int r = 0;

        if (!directory) {
                if (errno != ENOENT) {
                        log_plain(LOG_WARNING, "Cannot read the directory %s: %s", path, strerror(errno));
                }
                return 0;
        }
        for (struct dirent *entry; r == 0 && (entry = readdir(directory));) {
                size_t length = strlen(entry->d_name), suffix = strlen(DROP_IN_SUFFIX);

                if (entry->d_name[0] != '.' && length > suffix &&
                    strcmp(entry->d_name + length - suffix, DROP_IN_SUFFIX) == 0) {
                        r = add_drop_in(files, path, entry->d_name);
                }
        }
        closedir(directory);
        return r;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(((const DropIn *) a)->name, ((const DropIn *) b)->name);
}

static int find_drop_ins(const Limits *limits, Files *files) {
        int r = 0;

        for (size_t i = 0; limits->directories[i] && r == 0; i++) {
                char *path = talloc_asprintf(files, "%s/" FILE_NAME ".d", limits->directories[i]);

                r = path ? scan_drop_ins(files, path) : -ENOMEM;
        }
        if (r == 0 && files->n > 0) {
                qsort(files->drop_ins, files->n, sizeof(*files->drop_ins), compare_names);
        }
        return r;
}

/* ---- Reading ---- */

/* -ENOENT: there is none. -EINVAL: it was complained about. */
static int read_file(Config *config, const char *path) {
        char *text, *error = NULL;
        size_t length;
        int r = file_read(config, path, CONFIG_TEXT_MAX, &text, &length, NULL);

        if (r == -ENOENT || r == -ENOMEM) {
                return r;
        }
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot read %s: %s", path, strerror(-r));
                return -EINVAL;
        }
        r = config_parse(config, config, path, text, length, &error);
        if (r == -EINVAL) {
                log_plain(LOG_ERR, "%s", error);
        }
        talloc_free(error);
        talloc_free(text);
        return r;
}

/* The first that exists. */
static int read_main(const Limits *limits, Config *config) {
        int r = -ENOENT;

        for (size_t i = 0; limits->directories[i] && r == -ENOENT; i++) {
                char *path = talloc_asprintf(config, "%s/" FILE_NAME, limits->directories[i]);

                r = path ? read_file(config, path) : -ENOMEM;
                talloc_free(path);
        }
        return r == -ENOENT ? 0 : r;
}

/* *ret_bad: some file was left out. */
static int read_files(const Limits *limits, Config *config, bool *ret_bad) {
        Files *files = talloc_zero(config, Files);
        int r = files ? read_main(limits, config) : -ENOMEM;

        *ret_bad = r == -EINVAL;
        if (r != -ENOMEM) {
                r = find_drop_ins(limits, files);
        }
        for (size_t i = 0; r != -ENOMEM && i < files->n; i++) {
                r = read_file(config, files->drop_ins[i].path);
                *ret_bad |= r == -EINVAL;
        }
        talloc_free(files);
        return r == -ENOMEM ? r : 0;
}

/* Who is not there has no domains either. */
static void resolve(Config *config) {
        for (size_t i = 0; i < config->n_tenants; i++) {
                AccessRule *who = &config->tenants[i].who;
                bool user = who->kind == RULE_USER;
                int r;

                if (who->id != PRINCIPAL_UNRESOLVED) {
                        continue;
                }
                r = user ? names_lookup.user(who->text, &who->id, NULL)
                         : names_lookup.group(who->text, &who->id, NULL);
                if (r < 0) {
                        log_plain(LOG_WARNING,
                                  "[%s %s] in " FILE_NAME ": there is no such %s on this system now",
                                  rule_kind_names[who->kind], who->text, user ? "user" : "group");
                }
        }
}

static int config_begin(const Limits *limits, Config **ret) {
        int r = config_new((void *) limits, ret);

        if (r == 0 && limits->unlimited) {
                quota_fill(&(*ret)->standard, QUOTA_UNLIMITED);
                quota_fill(&(*ret)->global, QUOTA_UNLIMITED);
        }
        return r;
}

int limits_load(Limits *limits) {
        Config *config;
        bool bad = false;
        int r = config_begin(limits, &config);

        if (r < 0) {
                return r;
        }
        r = read_files(limits, config, &bad);
        if (r < 0) {
                talloc_free(config);
                return r;
        }
        if (bad && limits->config) {
                log_plain(LOG_WARNING, "Limits stay as they were until " FILE_NAME " has been mended");
                talloc_free(config);
                return 0;
        }
        resolve(config);
        talloc_free(limits->config);
        limits->config = config;
        return 0;
}

/* ---- Asking ---- */

static bool has_groups(const Config *config) {
        for (size_t i = 0; i < config->n_tenants; i++) {
                if (config->tenants[i].who.kind == RULE_GROUP) {
                        return true;
                }
        }
        return false;
}

int limits_of(const Limits *limits, uint32_t uid, Quota *ret) {
        uint32_t *groups = NULL;
        size_t n = 0;
        int r = has_groups(limits->config) ? names_groups((void *) limits, uid, &groups, &n) : 0;

        if (r < 0) {
                return r;
        }
        config_limits(limits->config, uid, groups, n, ret);
        talloc_free(groups);
        return 0;
}

const Quota *limits_global(const Limits *limits) {
        return &limits->config->global;
}

static int copy_directories(Limits *limits, const char *const *directories) {
        size_t n = 0;

        while (directories[n]) {
                n++;
        }
        limits->directories = talloc_zero_array(limits, const char *, n + 1);
        for (size_t i = 0; limits->directories && i < n; i++) {
                limits->directories[i] = talloc_strdup(limits, directories[i]);
                if (!limits->directories[i]) {
                        return -ENOMEM;
                }
        }
        return limits->directories ? 0 : -ENOMEM;
}

int limits_new(void *ctx, const char *const *directories, bool unlimited, Limits **ret) {
        Limits *limits = talloc_zero(ctx, Limits);
        int r;

        if (!limits) {
                return -ENOMEM;
        }
        limits->unlimited = unlimited;
        r = copy_directories(limits, directories);
        if (r == 0) {
                r = limits_load(limits);
        }
        if (r < 0) {
                talloc_free(limits);
                return r;
        }
        *ret = limits;
        return 0;
}
