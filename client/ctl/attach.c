/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The texts, from what a domain is. QEMU's and libvirt's peculiarities are here and nowhere else in the client. */

#include "client/ctl/attach.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/call.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"

#define SHM_FOLDER "/dev/shm/"

/* libvirt has sizes from 1 MiB on. */
#define LIBVIRT_SIZE_MIN (UINT64_C(1) << 20)

/* Doorbells that fit beside what a QEMU has open anyway, under the usual limit of 1024 descriptors. */
#define DOORBELLS_USUAL 768U

/* An ID as QEMU takes them. */
static bool id_is_valid(const char *id) {
        if (!isalpha((unsigned char) *id)) {
                return false;
        }
        for (; *id; id++) {
                if (!isalnum((unsigned char) *id) && !strchr("-_.", *id)) {
                        return false;
                }
        }
        return true;
}

/* Whether VM ID 0 is kept for a master. */
static bool has_master(json_object *domain) {
        json_object *peers = value_list(domain, "Peers");

        for (size_t i = 0; peers && i < json_object_array_length(peers); i++) {
                json_object *peer = json_object_array_get_idx(peers, i);

                if (value_boolean(peer, "master") && value_number(peer, "vm_id") == 0) {
                        return true;
                }
        }
        return false;
}

static ExitStatus check(Ctl *ctl, json_object *domain, const Attachment *attachment) {
        uint64_t doorbells = attachment->max_peers * attachment->vectors;

        if (!id_is_valid(attachment->id)) {
                return ctl_misuse(ctl,
                                  "--id=%s: an ID is a letter, and then letters, digits, '-', '_' and '.'",
                                  attachment->id);
        }
        if (attachment->plain && !attachment->path) {
                return ctl_fail(
                        STATUS_FAILED,
                        "Domain %s has memory without a file, which an ivshmem-plain device cannot have; make it "
                        "with --path=" SHM_FOLDER "%s, or leave out --plain",
                        attachment->domain, attachment->domain);
        }
        if (attachment->master && !attachment->plain && !has_master(domain)) {
                ctl_note(
                        ctl,
                        "Note: VM ID 0, which a master needs, is not reserved; see 'ivshmemctl reserve --help'");
        }
        if (!attachment->plain && doorbells > DOORBELLS_USUAL) {
                ctl_note(ctl,
                         "Note: with %" PRIu64 " doorbells QEMU needs more than the usual 1024 open files: "
                         "ulimit -n %" PRIu64
                         ", LimitNOFILE= of its unit, or max_files of /etc/libvirt/qemu.conf",
                         doorbells, doorbells + 1024);
        }
        return STATUS_OK;
}

ExitStatus attach_get(Ctl *ctl, const char *name, Attachment *ret) {
        cleanup_value json_object *domain = NULL;
        ExitStatus status = call_domain_properties(ctl, name, &domain);
        const char *path;

        if (status != STATUS_OK) {
                return status;
        }
        path = value_text(domain, "Path");
        *ret = (Attachment){
                .id = ctl->options.id ?: name,
                .domain = name,
                .socket = text_new(ctl, "%s", value_text(domain, "SocketPath")),
                .path = *path ? text_new(ctl, "%s", path) : NULL,
                .size = value_number(domain, "Size"),
                .vectors = value_number(domain, "Vectors"),
                .max_peers = value_number(domain, "MaxPeers"),
                .plain = ctl->options.plain,
                .master = ctl->options.master,
        };
        return check(ctl, domain, ret);
}

/* A value among QEMU's options: a comma is written twice. */
static char *qemu_value(const void *ctx, const char *text) {
        char *value = text_new(ctx, "%s", "");

        for (; *text; text++) {
                value = text_append(value, "%s%c", *text == ',' ? "," : "", *text);
        }
        return value;
}

const char **attach_qemu(const void *ctx, const Attachment *attachment) {
        const char **arguments = need(talloc_zero_array(ctx, const char *, 5));
        const char *master = attachment->master ? ",master=on" : "", *id = attachment->id;

        if (attachment->plain) {
                arguments[0] = "-object";
                arguments[1] = text_new(
                        arguments, "memory-backend-file,id=%s-memory,share=on,mem-path=%s,size=%" PRIu64, id,
                        qemu_value(arguments, attachment->path), attachment->size);
                arguments[2] = "-device";
                arguments[3] = text_new(arguments, "ivshmem-plain,id=%s,memdev=%s-memory%s", id, id, master);
        } else {
                arguments[0] = "-chardev";
                arguments[1] = text_new(arguments, "socket,id=%s-server,path=%s", id,
                                        qemu_value(arguments, attachment->socket));
                arguments[2] = "-device";
                arguments[3] = text_new(arguments,
                                        "ivshmem-doorbell,id=%s,chardev=%s-server,vectors=%" PRIu64 "%s", id,
                                        id, attachment->vectors, master);
        }
        return arguments;
}

char *attach_quote(const void *ctx, const char *word) {
        char *quoted;

        if (*word &&
            strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") ==
                    strlen(word)) {
                return text_new(ctx, "%s", word);
        }
        quoted = text_new(ctx, "'");
        for (; *word; word++) {
                quoted = *word == '\'' ? text_append(quoted, "'\\''") : text_append(quoted, "%c", *word);
        }
        return text_append(quoted, "'");
}

/* The value of an attribute in single quotes. */
static char *xml_value(const void *ctx, const char *text) {
        static const struct {
                char character;
                const char *entity;
        } entities[] = {
                { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '\'', "&apos;" }, { '"', "&quot;" }
        };
        char *value = text_new(ctx, "%s", "");

        for (; *text; text++) {
                const char *entity = NULL;

                for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++) {
                        entity = entities[i].character == *text ? entities[i].entity : entity;
                }
                value = entity ? text_append(value, "%s", entity) : text_append(value, "%c", *text);
        }
        return value;
}

/* libvirt maps /dev/shm/NAME and nothing else. */
static int plain_xml(const void *ctx, const Attachment *attachment, char **ret, char **ret_error) {
        const char *path = attachment->path;
        const char *name = strncmp(path, SHM_FOLDER, strlen(SHM_FOLDER)) == 0 ? path + strlen(SHM_FOLDER)
                                                                              : NULL;

        if (!name || !*name || strchr(name, '/')) {
                *ret_error = text_new(ctx,
                                      "libvirt's plain devices have their memory in " SHM_FOLDER
                                      "NAME, and that of %s is "
                                      "%s; use 'ivshmemctl qemu-args --plain' within <qemu:commandline>",
                                      attachment->domain, path);
                return -EINVAL;
        }
        if (attachment->size < LIBVIRT_SIZE_MIN) {
                *ret_error = text_new(ctx, "libvirt's plain devices have at least 1M, and %s has less",
                                      attachment->domain);
                return -EINVAL;
        }
        *ret = text_new(ctx,
                        "<shmem name='%s' role='%s'>\n"
                        "  <model type='ivshmem-plain'/>\n"
                        "  <size unit='bytes'>%" PRIu64 "</size>\n"
                        "</shmem>\n",
                        xml_value(ctx, name), attachment->master ? "master" : "peer", attachment->size);
        return 0;
}

/* Without <size>, which libvirt refuses here. An alias of one's own begins with "ua-". */
static char *doorbell_xml(const void *ctx, const Attachment *attachment) {
        const char *id = attachment->id;
        char *text = text_new(ctx,
                              "<shmem name='%s'>\n"
                              "  <model type='ivshmem-doorbell'/>\n"
                              "  <server path='%s'/>\n"
                              "  <msi vectors='%" PRIu64 "' ioeventfd='on'/>\n"
                              "  <alias name='ua-%s'/>\n"
                              "</shmem>\n",
                              xml_value(ctx, attachment->domain), xml_value(ctx, attachment->socket),
                              attachment->vectors, id);

        if (!attachment->master) {
                return text;
        }
        return text_append(
                text,
                "\n<!-- The device goes into <devices>, and this, without which it cannot migrate, beside "
                "<devices>: -->\n"
                "<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
                "  <qemu:device alias='ua-%s'>\n"
                "    <qemu:frontend>\n"
                "      <qemu:property name='master' type='string' value='on'/>\n"
                "    </qemu:frontend>\n"
                "  </qemu:device>\n"
                "</qemu:override>\n",
                id);
}

int attach_libvirt(const void *ctx, const Attachment *attachment, char **ret, char **ret_error) {
        if (attachment->plain) {
                return plain_xml(ctx, attachment, ret, ret_error);
        }
        *ret = doorbell_xml(ctx, attachment);
        return 0;
}
