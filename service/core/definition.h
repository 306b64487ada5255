/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain's definition (ivshmem.domain(5)): what an administrator wrote, checked and as values. Parsing and printing
 * are pure; finding the file and turning names into numbers is the caller's (definition_resolve() asks a lookup that
 * it is given).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AccessRule AccessRule;
typedef struct Definition Definition;
typedef struct PrincipalLookup PrincipalLookup;
typedef struct Reservation Reservation;
typedef struct RuleSet RuleSet;

#define PRINCIPAL_UNRESOLVED UINT32_MAX

/* Of a reservation that definition_set() has added and that has not been given one yet. */
#define VM_ID_UNSET UINT32_MAX

typedef enum HugePages {
        HUGE_PAGES_NONE,
        HUGE_PAGES_2M,
        HUGE_PAGES_1G,
        _HUGE_PAGES_MAX,
        _HUGE_PAGES_INVALID = -22,
} HugePages;

typedef enum NumaPolicy {
        NUMA_POLICY_BIND,
        NUMA_POLICY_PREFERRED,
        NUMA_POLICY_INTERLEAVE,
        _NUMA_POLICY_MAX,
        _NUMA_POLICY_INVALID = -22,
} NumaPolicy;

typedef enum Keep {
        KEEP_UNTIL_STOPPED, /* memory lives until the domain is stopped */
        KEEP_UNTIL_IDLE,    /* the domain ends when its last peer has left */
        KEEP_ALWAYS,        /* the file of Path= outlives the domain */
        _KEEP_MAX,
        _KEEP_INVALID = -22,
} Keep;

typedef enum Topology {
        TOPOLOGY_MESH, /* each peer is told of each other */
        TOPOLOGY_STAR, /* seat 0 is told of all, all others of seat 0 only */
        _TOPOLOGY_MAX,
        _TOPOLOGY_INVALID = -22,
} Topology;

typedef enum RuleKind {
        RULE_USER,    /* a user's name or number */
        RULE_GROUP,   /* a group's name or number; supplementary groups count */
        RULE_MACHINE, /* shell pattern over the machine's name (systemd-machined) */
        RULE_UNIT,    /* shell pattern over the systemd unit */
        RULE_LABEL,   /* shell pattern over the security label (SELinux, AppArmor, Smack) */
        _RULE_KIND_MAX,
        _RULE_KIND_INVALID = -22,
} RuleKind;

struct AccessRule {
        RuleKind kind;
        char *text; /* as written: a name, a number or a pattern (fnmatch(3), where a backslash is nothing special) */
        uint32_t id; /* RULE_USER and RULE_GROUP: the number, or PRINCIPAL_UNRESOLVED */
};

/* Rules in the order of their kinds, those of one kind in the order of the file; one that matches is enough. */
struct RuleSet {
        AccessRule *rules;
        size_t n_rules;
};

/* A [Peer NAME] section: a seat that only the peers it matches may take. */
struct Reservation {
        char *name;
        uint32_t vm_id;
        bool master; /* the VM that can migrate; VMID=0 only (QEMU: master must be the first peer) */
        RuleSet match;
};

struct Definition {
        char *description; /* NULL when none is given; the same for each string below */
        AccessRule owner;  /* RULE_USER; root unless Owner= says otherwise */
        int log_level;     /* LOG_ERR .. LOG_DEBUG of syslog.h */

        uint64_t size; /* bytes, a power of two, at least a page of its kind */
        HugePages huge_pages;
        char *numa_nodes; /* "0-1,3" */
        NumaPolicy numa_policy;
        bool prefault;
        char *path;            /* absolute; NULL: anonymous, sealed memory */
        AccessRule path_user;  /* text NULL: not given */
        AccessRule path_group; /* text NULL: not given */
        uint32_t path_mode;
        char *path_label; /* security label (SELinux, Smack); NULL: not given */
        Keep keep;
        bool wipe_when_idle;

        uint32_t vectors;
        uint32_t max_peers;
        Topology topology;

        RuleSet access;
        uint32_t peers_per_user; /* 0: no limit below max_peers */
        uint32_t connect_rate; /* new connections a second and user, bursts of ten times that; 0: no limit */

        Reservation *reservations;
        size_t n_reservations;
};

#define PATH_MODE_DEFAULT 0600U
#define VECTORS_DEFAULT 1U
#define MAX_PEERS_DEFAULT 16U
#define CONNECT_RATE_DEFAULT 100U

/* Bounds on what a definition may hold. A definition within the other bounds prints as a text within the first. */
#define DEFINITION_TEXT_MAX (256U * 1024U)
#define DEFINITION_LINE_MAX 196U   /* bytes, without the line's end: libinih would cut longer ones in two */
#define DEFINITION_RULES_MAX 1024U /* entries of all lists together, so no more [Peer] sections either */
#define RULE_TEXT_MAX 128U
#define RESERVATION_NAME_MAX 64U
#define CONNECT_RATE_MAX 1000000U

/* The sections and keys that a definition may have, for manuals, completion and tests, in canonical order: the
 * i-th as a section's name and a key's, and the text of its default, NULL when it has none. False after the last. */
bool definition_key(size_t i, const char **ret_section, const char **ret_key, const char **ret_default);

/* Names as they stand in definitions. A log level is an index of syslog.h. */
extern const char *const log_level_names[8];
extern const char *const huge_pages_names[_HUGE_PAGES_MAX];
extern const char *const numa_policy_names[_NUMA_POLICY_MAX];
extern const char *const keep_names[_KEEP_MAX];
extern const char *const topology_names[_TOPOLOGY_MAX];
extern const char *const rule_kind_names[_RULE_KIND_MAX];

/* The page size of a kind in bytes; 4096 for HUGE_PAGES_NONE. */
uint64_t huge_pages_size(HugePages huge_pages);

/* A definition with each default set and Size= 0, which the caller must set. -ENOMEM. */
int definition_new(void *ctx, Definition **ret);

/* Whether two definitions say the same. Order counts in lists and among [Peer] sections. */
bool definition_equal(const Definition *a, const Definition *b);

/*
 * Parses `text` (length bytes, any bytes), strictly: a section, key or value that is not known, one that is repeated,
 * and all that libinih would drop or bend in silence is an error. Only the lists (User=, Group=, Machine=, Unit=,
 * Label=: entries between blanks) go on in the next line, when it is indented. On success the definition is a chunk of `ctx`. On failure -EINVAL, and
 * *ret_error is a chunk of `ctx`: "FILE:LINE: what is wrong, and how to mend it". `file` only names the text.
 * -ENOMEM leaves both untouched.
 */
int definition_parse(void *ctx, const char *file, const char *text, size_t length, Definition **ret,
                     char **ret_error);

/*
 * What no single line shows: that size, pages, path, NUMA, reservations and limits fit together. definition_parse()
 * calls it; who builds a definition otherwise calls it too. -EINVAL with *ret_error as above, without file and line.
 */
int definition_validate(void *ctx, const Definition *definition, char **ret_error);

/* The canonical text: every setting that differs from its default, in fixed order; parses back to an equal
 * definition. A chunk of `ctx`, NULL when out of memory. */
char *definition_print(void *ctx, const Definition *definition);

/* A definition that says the same; names of users and groups are not resolved in it. -ENOMEM; -EINVAL when there is no
 * text that says it. */
int definition_copy(void *ctx, const Definition *definition, Definition **ret);

/*
 * Changes one setting: `key` of [Domain] or [Access] where `peer` is NULL, else of [Peer PEER], which is added when it is
 * not there. `value` is what would stand in a file; a list takes the place of the one before, and an empty value
 * that of the default. -EINVAL with *ret_error, a chunk of `ctx`, which begins with the key; what settings mean together
 * definition_validate() says.
 */
int definition_set(void *ctx, Definition *definition, const char *peer, const char *key, const char *value,
                   char **ret_error);

/* Takes a [Peer] section out. False: there is none of this name. */
bool definition_remove_peer(Definition *definition, const char *peer);

/* Takes all of them out. */
void definition_remove_peers(Definition *definition);

/* Turns user and group names into numbers. The functions return 0, -ENOENT when there is no such name, or another
 * negative errno. */
struct PrincipalLookup {
        int (*user)(const char *name, uint32_t *ret_uid, void *userdata);
        int (*group)(const char *name, uint32_t *ret_gid, void *userdata);
        void *userdata;
};

/* Resolves each name that is not a number. -ENOENT, or the lookup's errno, with *ret_error naming the first that
 * failed and where it stands. */
int definition_resolve(void *ctx, Definition *definition, const PrincipalLookup *lookup, char **ret_error);

/*
 * Compares a reloaded definition with the running one. Returns a NULL-terminated array (chunk of `ctx`) of the keys
 * whose change needs a restart, empty when there is none; NULL when out of memory. Description, Owner, LogLevel,
 * [Access] and the rules of [Peer] sections can change while the domain runs; their VMID= can not.
 */
const char **definition_fixed_changes(void *ctx, const Definition *running, const Definition *reloaded);
