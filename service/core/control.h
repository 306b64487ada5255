/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control link between the manager and a domain's server: records of one fixed size over AF_UNIX SOCK_SEQPACKET, a
 * record a message, little-endian, with a version in each. The server listens on the descriptor "control" and takes
 * connections of root and of the user that the socket belongs to only.
 *
 * On a new connection the server says CONTROL_DOMAIN, a CONTROL_PEER for each connected peer, and CONTROL_SYNCED; from
 * then on what changes: CONTROL_JOINED, CONTROL_LEFT, CONTROL_REFUSED, and CONTROL_DOMAIN again when counters or shape
 * have changed (at most a few times a second). Before CONTROL_SYNCED, peers that were told of may be said to have left, too.
 * Of the refusals of one user not all are told when there are many; the counter has all.
 *
 * The manager sends requests, each with a serial of its own, and gets one CONTROL_REPLY for each, in order. It can do so
 * before CONTROL_SYNCED, and is answered after it. A connection whose reader lags is closed by the server, and the manager
 * connects again and has the whole picture anew: nothing is queued without bound.
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

/* Bytes of each record: every field has a place of its own, whatever the kind, and the rest is zero. */
#define CONTROL_RECORD_SIZE 1792U

/* Room for text, with its NUL. What is longer was cut. */
#define CONTROL_DOMAIN_SIZE 32U
#define CONTROL_IDENTITY_SIZE 272U
#define CONTROL_NAME_SIZE 256U
#define CONTROL_TEXT_SIZE 512U

typedef enum ControlKind {
        /* from the server */
        CONTROL_DOMAIN,  /* .domain, .text: what the server says of it in a line */
        CONTROL_PEER,    /* .peer: connected when the link began */
        CONTROL_SYNCED,  /* the picture is whole */
        CONTROL_JOINED,  /* .peer */
        CONTROL_LEFT,    /* .peer, .text: why */
        CONTROL_REFUSED, /* .peer without vm_id and since; .refusal, .text: the rule in words */
        CONTROL_REPLY,   /* .serial, .result, .text when it failed; a descriptor for OPEN and MEMORY */
        /* from the manager; .serial in each */
        CONTROL_EVICT, /* .vm_id */
        CONTROL_RING,  /* .vm_id, .vector */
        CONTROL_OPEN, /* .peer (uid, gid, pid, label) of who shall become a peer; by pid the server finds the rest */
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
        char name[CONTROL_DOMAIN_SIZE];
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
        bool definition_removed; /* its file is gone */
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

/* A record as values. What its kind does not have is zero after decoding, and not looked at by encoding. */
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

/* Copies text into a place of a record: each byte that is no text, and each control character, becomes a "?", and what is
 * too long is cut between two characters. NULL is empty. */
void control_text_set(char *place, size_t size, const char *text);

/* The bytes of a record, each of them set; texts as control_text_set() has them. */
void control_encode(const ControlRecord *record, uint8_t ret[static CONTROL_RECORD_SIZE]);

/* Every byte is doubted: -EINVAL for what control_encode() does not write for a record that can be (size, version, kind,
 * values out of range or where the kind has none, text that does not end, is no UTF-8 or has control characters); *ret is
 * untouched then. So what is accepted encodes to the same bytes again. */
int control_decode(const uint8_t *bytes, size_t size, ControlRecord *ret);

/* Whether this kind comes from the manager. */
bool control_is_request(ControlKind kind);
