/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain with a control link, and what is asked of a manager again and again. These assert. */
#pragma once

#include <stdbool.h>

#include "tests/lib/manager.h"
#include "tests/protocol/served.h"

typedef struct Scene Scene;

struct Scene {
        Served *served;
        Scratch *scratch;
        char *control; /* path of the control link's socket */
};

#define ACCESS_OTHERS "[Access]\nUser=54321\n"

/* A user that is let in nowhere. */
#define STRANGER_UID 54322U

/* Serves the lines of a definition, or NULL for the form of QEMU's example server, with a socket for the control link that
 * belongs to OTHER_UID and that anybody can open. */
Scene *scene_new(void *ctx, const char *lines, uint32_t vectors);
void scene_end(Scene *scene);

/* Connects, and takes the picture in, in which there are so many peers. */
Manager *manage(Scene *scene, size_t n_peers);

/* Connects as another user, and reads nothing. */
Manager *connect_manager_as(Scene *scene, uint32_t uid);

/* Reads up to CONTROL_SYNCED; how many peers there are. */
size_t take_picture(Manager *manager);

/* The next record, which must be of this kind. */
ControlRecord next_record(Manager *manager, ControlKind kind);

/* The same without CONTROL_DOMAIN, which comes when it likes. */
ControlRecord next_event(Manager *manager, ControlKind kind);

/* Waits until the domain is said to be so. */
void wait_domain(Manager *manager, bool (*is_so)(const ControlDomain *domain));

/* The server ends the connection. */
void assert_closed(Manager *manager);

/* Requests, without their serials. */
#define EVICT(id) ((ControlRecord){ .kind = CONTROL_EVICT, .vm_id = (id) })
#define RING(id, which) ((ControlRecord){ .kind = CONTROL_RING, .vm_id = (id), .vector = (which) })
#define MEMORY(ro) ((ControlRecord){ .kind = CONTROL_MEMORY, .read_only = (ro) })
#define RELOAD ((ControlRecord){ .kind = CONTROL_RELOAD })
#define OPEN(who, group, process) \
        ((ControlRecord){ .kind = CONTROL_OPEN, .peer = { .uid = (who), .gid = (group), .pid = (process) } })

/* Asks for something that comes without a descriptor; that goes well; that comes with one. */
ControlRecord ask(Manager *manager, ControlRecord request);
void ask_ok(Manager *manager, ControlRecord request);
Fd *ask_fd(Manager *manager, ControlRecord request);

void assert_result(ControlRecord reply, ControlResult result, const char *text);
