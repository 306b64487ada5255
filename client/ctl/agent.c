/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkttyagent lives as long as the verb. */

#include "client/ctl/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/connection.h"
#include "client/ctl/memory.h"
#include "client/ctl/spawn.h"
#include "client/ctl/terminal.h"

#define NOTIFY_FD 3

/* How long it may take to be ready, in milliseconds; who is asked too early is not asked. */
#define READY_TIMEOUT 5000

struct Agent {
        pid_t pid;
};

/* Polkit asks nobody who is root, and an agent here has no say elsewhere. */
static bool is_wanted(const Ctl *ctl) {
        return !ctl->agent && !ctl->options.no_ask_password && terminal_is_input() && geteuid() != 0 &&
               connection_is_local_bus(ctl->connection);
}

void agent_open(Ctl *ctl) {
        static const char *const command[] = { "pkttyagent", "--notify-fd=3", "--fallback", NULL };
        int ends[2];
        Agent *agent;
        int r;

        if (!is_wanted(ctl) || pipe2(ends, O_CLOEXEC) < 0) {
                return;
        }
        agent = need(talloc_zero(ctl, Agent));
        r = spawn(command, &(SpawnFd){ .ours = ends[1], .theirs = NOTIFY_FD }, 1, &agent->pid);
        close(ends[1]);
        if (r < 0) {
                talloc_free(agent); /* it is not installed: others may ask, on a desktop */
        } else {
                poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, READY_TIMEOUT);
                ctl->agent = agent;
        }
        close(ends[0]);
}

void agent_close(Ctl *ctl) {
        if (ctl->agent) {
                kill(ctl->agent->pid, SIGTERM);
                kill(ctl->agent->pid, SIGCONT);
                spawn_wait(ctl->agent->pid);
                talloc_free(ctl->agent);
                ctl->agent = NULL;
        }
}
