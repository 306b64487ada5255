/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/attach: texts for QEMU and libvirt. That these take them is for tests/ctl to find out. */

#include "client/ctl/attach.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/testing.h"

static const Attachment doorbell = {
        .id = "ring",
        .domain = "ring",
        .socket = "/run/ivshmem/ring.sock",
        .size = 1 << 20,
        .vectors = 4,
};

static const Attachment plain = {
        .id = "m",
        .domain = "table",
        .path = "/dev/shm/table",
        .size = 1 << 20,
        .plain = true,
};

static void test_qemu(void **state) {
        Attachment attachment = doorbell;
        const char **words = attach_qemu(*state, &attachment);

        assert_string_equal(words[0], "-chardev");
        assert_string_equal(words[1], "socket,id=ring-server,path=/run/ivshmem/ring.sock");
        assert_string_equal(words[2], "-device");
        assert_string_equal(words[3], "ivshmem-doorbell,id=ring,chardev=ring-server,vectors=4");
        assert_null(words[4]);
        attachment.master = true;
        attachment.socket = "/tmp/a,b";
        words = attach_qemu(*state, &attachment);
        assert_string_equal(words[1], "socket,id=ring-server,path=/tmp/a,,b");
        assert_string_equal(words[3], "ivshmem-doorbell,id=ring,chardev=ring-server,vectors=4,master=on");
        words = attach_qemu(*state, &plain);
        assert_string_equal(words[1],
                            "memory-backend-file,id=m-memory,share=on,mem-path=/dev/shm/table,size=1048576");
        assert_string_equal(words[3], "ivshmem-plain,id=m,memdev=m-memory");
        talloc_free_children(*state);
}

static void test_quotes(void **state) {
        assert_string_equal(attach_quote(*state, "socket,id=a-server,path=/run/a.sock"),
                            "socket,id=a-server,path=/run/a.sock");
        assert_string_equal(attach_quote(*state, ""), "''");
        assert_string_equal(attach_quote(*state, "a b"), "'a b'");
        assert_string_equal(attach_quote(*state, "$(x)"), "'$(x)'");
        assert_string_equal(attach_quote(*state, "it's"), "'it'\\''s'");
        talloc_free_children(*state);
}

static void test_xml_is_escaped(void **state) {
        Attachment attachment = doorbell;
        char *text, *error;

        attachment.socket = "/tmp/<a>&'b\"";
        assert_int_equal(attach_libvirt(*state, &attachment, &text, &error), 0);
        assert_non_null(strstr(text, "<server path='/tmp/&lt;a&gt;&amp;&apos;b&quot;'/>"));
        talloc_free_children(*state);
}

/* What libvirt maps is /dev/shm/NAME, of 1 MiB or more. */
static void test_plain_for_libvirt(void **state) {
        static const char *const bad[] = { "/dev/shm/", "/dev/shm/a/b", "/mnt/huge/table", "/dev/shmtable" };
        Attachment attachment = plain;
        char *text, *error = NULL;

        assert_int_equal(attach_libvirt(*state, &attachment, &text, &error), 0);
        assert_non_null(strstr(text, "<shmem name='table' role='peer'>"));
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                attachment.path = bad[i];
                assert_int_equal(attach_libvirt(*state, &attachment, &text, &error), -EINVAL);
                assert_non_null(strstr(error, bad[i]));
        }
        attachment = plain;
        attachment.size = (1 << 20) - 1;
        assert_int_equal(attach_libvirt(*state, &attachment, &text, &error), -EINVAL);
        assert_non_null(strstr(error, "at least 1M"));
        talloc_free_children(*state);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_qemu),
                TEST(test_quotes),
                TEST(test_xml_is_escaped),
                TEST(test_plain_for_libvirt),
        };

        return cmocka_run_group_tests_name("ctl-attach", tests, NULL, NULL);
}
