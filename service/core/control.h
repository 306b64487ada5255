/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control link between the manager and a domain's server: records of one fixed size over AF_UNIX SOCK_SEQPACKET, a
 * record a message, little-endian, with a version in each. The server listens on the descriptor "control" and takes
 * connections of root and of the user that the socket belongs to only.
 *
 * On a new connection the server says CONTROL_DOMAIN, a CONTROL_PEER for each connected peer, and CONTROL_SYNCED; from
 * then on what changes: CONTROL_JOINED, CONTROL_LEFT, CONTROL_REFUSED, and CONTROL_DOMAIN again when counters or shape
 * have changed (at most a few times a second). The manager sends requests, each with a serial of its own, and gets
 * one CONTROL_REPLY for each, in order. A connection whose reader lags is closed by the server, and the manager connects
 * again and has the whole picture anew: nothing is queued without bound.
 *
 * Both directions are decoded as if the other side were hostile: a server is what a tenant attacks, and the manager reads
 * what it says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"
#include "service/core/wire.h"

typedef struct ControlDomain ControlDomain;
typedef struct ControlPeer ControlPeer;
typedef struct ControlRecord ControlRecord;

#define CONTROL_VERSION 1U

/* Bytes of each record. */
#define CONTROL_RECORD_SIZE 1280U

/* Room for text, with its NUL. What is longer was cut. */
#define CONTROL_IDENTITY_SIZE 272U
#define CONTROL_NAME_SIZE 256U
#define CONTROL_TEXT_SIZE 512U

typedef enum ControlKind {
        /* from the server */
        CONTROL_DOMAIN,  /* .domain */
        CONTROL_PEER,    /* .peer: connected when the link began */
        CONTROL_SYNCED,  /* the picture is whole */
        CONTROL_JOINED,  /* .peer */
        CONTROL_LEFT,    /* .peer, .text: why */
        CONTROL_REFUSED, /* .peer (uid, gid, pid, unit, machine, label), .refusal, .text: the rule in words */
        CONTROL_REPLY,   /* .serial, .result, .text when it failed; a descriptor for OPEN and MEMORY */
        /* from the manager; .serial in each */
        CONTROL_EVICT,  /* .vm_id */
        CONTROL_RING,   /* .vm_id, .vector */
        CONTROL_OPEN,   /* .peer: credentials of the local process that shall become a peer */
        CONTROL_MEMORY, /* .read_only */
        CONTROL_RELOAD, /* read the definition again; reservations are made this way */
        _CONTROL_KIND_MAX,
        _CONTROL_KIND_INVALID = -22,
} ControlKind;

typedef enum ControlResult {
        CONTROL_OK,
        CONTROL_NO_SUCH_PEER,   /* nobody was ever given this VM ID, or it is retired */
        CONTROL_NO_SUCH_VECTOR, /* the domain has fewer */
        CONTROL_RELOAD_FAILED,  /* .text has file and line; all stays as it was */
        CONTROL_FIXED,          /* what was changed takes a restart: .text has the keys */
        CONTROL_SHORT,          /* descriptors or memory do not suffice */
        CONTROL_STOPPING,
        CONTROL_NOT_SUPPORTED, /* a read-only descriptor of memory that is a file, e.g. */
        _CONTROL_RESULT_MAX,
        _CONTROL_RESULT_INVALID = -22,
} ControlResult;

extern const char *const control_kind_names[_CONTROL_KIND_MAX];
extern const char *const control_result_names[_CONTROL_RESULT_MAX];

/* A domain as it is served, which need not be what its definition says by now. */
struct ControlDomain {
        char name[32];
        uint64_t memory_size; /* bytes */
        uint32_t huge_pages;  /* HugePages */
        uint32_t vectors;
        uint32_t max_peers;
        uint32_t topology; /* Topology */
        uint32_t n_peers;  /* connected */
        uint32_t n_seats;  /* VM IDs given so far */
        uint64_t joins;    /* since the server started, as the following */
        uint64_t leaves;
        uint64_t refusals;
        uint64_t evictions;
        uint64_t messages_sent;
        bool definition_removed; /* the file was gone at the last reload, or at the start of a successor */
};

struct ControlPeer {
        uint32_t vm_id;
        uint32_t uid;
        uint32_t gid;
        int32_t pid;
        uint64_t since; /* CLOCK_REALTIME, microseconds */
        char identity[CONTROL_IDENTITY_SIZE];
        char unit[CONTROL_NAME_SIZE]; /* empty: none; so are the next two */
        char machine[CONTROL_NAME_SIZE];
        char label[CONTROL_NAME_SIZE];
};

/* A record as values. What a kind does not have is zero. */
struct ControlRecord {
        ControlKind kind;
        uint32_t serial; /* of requests and their replies; never 0 there */
        ControlResult result;
        uint32_t vm_id;
        uint32_t vector;
        bool read_only;
        Refusal refusal;
        ControlPeer peer;
        ControlDomain domain;
        char text[CONTROL_TEXT_SIZE];
};

/* The bytes of a record, each of them set. */
void control_encode(const ControlRecord *record, uint8_t ret[static CONTROL_RECORD_SIZE]);

/* Every byte is doubted: -EINVAL for what control_encode() never writes (size, version, kind, values out of range, text
 * that does not end, is no UTF-8 or has control characters), *ret is untouched then. */
int control_decode(const uint8_t *bytes, size_t size, ControlRecord *ret);

/* Whether this kind comes from the manager. */
bool control_is_request(ControlKind kind);
