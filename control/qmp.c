// SPDX-License-Identifier: MIT
// The protocol: greeting, negotiation, messages in and out.
#include "control/qmp.h"

#include <assert.h>
#include <string.h>

#include "backend/chardev.h"
#include "base/log.h"
#include "control/qmp_impl.h"

#define ROOM 4096 // bytes of input at a time

struct qmp {
    struct panel *p;
    struct chardev *chr;
    bool pretty;
    bool negotiated; // the client said qmp_capabilities
    struct json_framer framer;
};

// --- Messages out ---

static void send_message(struct qmp *q, GVariant *message)
{
    g_autoptr(GString) text = g_string_new(NULL);

    json_print(message, q->pretty, text);
    g_string_append(text, "\r\n");
    chardev_write(q->chr, (const uint8_t *)text->str, text->len);
}

// With the id of what it answers, if that had one.
static void send_reply(struct qmp *q, const char *kind, GVariant *value, GVariant *id)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", kind, value);
    if (id)
        g_variant_builder_add(&b, "{sv}", "id", id);
    send_message(q, g_variant_builder_end(&b));
}

static void send_error(struct qmp *q, const char *class, const char *text, GVariant *id)
{
    send_reply(q, "error", g_variant_new_parsed("{'class': <%s>, 'desc': <%s>}", class, text), id);
}

static void send_greeting(struct qmp *q)
{
    send_message(q, g_variant_new_parsed("{'QMP': <{'version': <%*>, 'capabilities': <@av []>}>}",
                                         qmp_query_version(q->p, NULL, NULL)));
}

// --- Messages in ---

static GVariant *empty_object(void)
{
    return g_variant_new("a{sv}", NULL);
}

// The message's members are known, and of the right types. The class of an error is always GenericError.
static bool check_message(GVariant *message, GError **error)
{
    GVariantIter iter;
    const char *name;
    GVariant *value;

    if (!g_variant_is_of_type(message, G_VARIANT_TYPE_VARDICT)) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "QMP input must be a JSON object");
        return false;
    }
    g_variant_iter_init(&iter, message);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        g_autoptr(GVariant) owned = value;
        const char *want = strcmp(name, "execute") == 0     ? "string"
                           : strcmp(name, "arguments") == 0 ? "object"
                                                            : NULL;
        const char *type = !want ? NULL : *want == 's' ? "s" : "a{sv}";
        if (want && strcmp(g_variant_get_type_string(owned), type) != 0) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT,
                        "QMP input member '%s' must be a %s", name, want);
            return false;
        }
        if (!want && strcmp(name, "id") != 0) {
            g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT,
                        "QMP input member '%s' is unexpected", name);
            return false;
        }
    }
    g_autoptr(GVariant) execute = g_variant_lookup_value(message, "execute", NULL);
    if (!execute)
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_FORMAT, "QMP input lacks member 'execute'");
    return execute != NULL;
}

// Nothing is offered beyond the protocol itself, so nothing can be enabled.
static void negotiate(struct qmp *q, GVariant *args, GVariant *id)
{
    static const struct qmp_command command = {.name = "qmp_capabilities", .args = "enable?:list"};
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) enable = NULL;

    if (!qmp_check_args(&command, args, &error)) {
        send_error(q, "GenericError", error->message, id);
        return;
    }
    enable = g_variant_lookup_value(args, "enable", NULL);
    if (enable && g_variant_n_children(enable)) {
        send_error(q, "GenericError", "there is no capability to enable", id);
        return;
    }
    q->negotiated = true;
    send_reply(q, "return", empty_object(), id);
}

static void run_command(struct qmp *q, const struct qmp_command *cmd, GVariant *args, GVariant *id)
{
    g_autoptr(GError) error = NULL;
    unsigned generation = q->p->generation;
    GVariant *value = NULL;

    if (qmp_check_args(cmd, args, &error))
        value = cmd->run(q->p, args, &error);
    g_autoptr(GVariant) result = g_variant_ref_sink(value ? value : empty_object());
    if (q->p->generation != generation)
        return; // a copy: the original answers
    if (error)
        send_error(q, "GenericError", error->message, id);
    else
        send_reply(q, "return", result, id);
}

static void not_found(struct qmp *q, const char *name, GVariant *id)
{
    g_autofree char *text = NULL;

    if (!q->negotiated)
        text = g_strdup_printf("Expecting capabilities negotiation with 'qmp_capabilities', not %s",
                               name);
    else if (strcmp(name, "qmp_capabilities") == 0)
        text = g_strdup("Capabilities negotiation is already complete, command ignored");
    else
        text = g_strdup_printf("The command %s has not been found", name);
    send_error(q, "CommandNotFound", text, id);
}

static void dispatch(struct qmp *q, const char *name, GVariant *args, GVariant *id)
{
    const struct qmp_command *cmd = q->negotiated ? qmp_command_find(name) : NULL;

    if (!q->negotiated && strcmp(name, "qmp_capabilities") == 0)
        negotiate(q, args, id);
    else if (cmd)
        run_command(q, cmd, args, id);
    else
        not_found(q, name, id);
}

static void obey(struct qmp *q, const char *text, size_t len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) message = json_parse(q->p->json, text, len, &error), id = NULL, args = NULL;
    const char *name = NULL;

    if (message && g_variant_is_of_type(message, G_VARIANT_TYPE_VARDICT))
        id = g_variant_lookup_value(message, "id", NULL);
    if (!message || !check_message(message, &error)) {
        send_error(q, "GenericError", error->message, id);
        return;
    }
    g_variant_lookup(message, "execute", "&s", &name);
    args = g_variant_lookup_value(message, "arguments", NULL);
    if (!args)
        args = g_variant_ref_sink(empty_object());
    dispatch(q, name, args, id);
}

// --- The front end ---

static size_t can_receive(void *opaque)
{
    const struct qmp *q = opaque;
    return q->p->vm->over ? 0 : ROOM;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct qmp *q = opaque;
    unsigned generation = q->p->generation;

    for (size_t i = 0; i < len && q->p->generation == generation; i++) {
        switch (json_framer_feed(&q->framer, data[i])) {
        case JSON_MORE:
            break;
        case JSON_WHOLE:
            obey(q, q->framer.text->str, q->framer.text->len);
            break;
        case JSON_BAD:
            send_error(q, "GenericError", q->framer.why, NULL);
            break;
        }
    }
}

// A new client starts from the beginning.
static void event(void *opaque, bool opened)
{
    struct qmp *q = opaque;

    q->negotiated = false;
    json_framer_reset(&q->framer);
    if (opened)
        send_greeting(q);
}

struct qmp *qmp_new(struct panel *p, struct chardev *chr, bool pretty, GError **error)
{
    struct qmp *q = g_new0(struct qmp, 1);
    struct chardev_front front = {.can_receive = can_receive,
                                  .receive = receive,
                                  .event = event,
                                  .opaque = q,
                                  .name = chardev_id(chr)};

    *q = (struct qmp){.p = p, .chr = chr, .pretty = pretty};
    json_framer_init(&q->framer);
    if (!p->json)
        p->json = json_open(error);
    if (p->json && chardev_attach(chr, &front, error))
        return q;
    q->chr = NULL;
    qmp_free(q);
    return NULL;
}

void qmp_free(struct qmp *q)
{
    chardev_detach(q->chr, q);
    json_framer_clear(&q->framer);
    g_free(q);
}

// --- Events ---

void qmp_send_event(struct qmp *q, GVariant *message)
{
    if (q->negotiated)
        send_message(q, message);
}

static GVariant *timestamp(void)
{
    uint64_t ns = door_host_epoch_ns();

    return g_variant_new_parsed("{'seconds': <%t>, 'microseconds': <%t>}", ns / NS_PER_S,
                                ns % NS_PER_S / 1000);
}

void qmp_emit(struct panel *p, const char *name, GVariant *data)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "timestamp", timestamp());
    g_variant_builder_add(&b, "{sv}", "event", g_variant_new_string(name));
    if (data)
        g_variant_builder_add(&b, "{sv}", "data", data);
    g_autoptr(GVariant) message = g_variant_ref_sink(g_variant_builder_end(&b));
    for (unsigned i = 0; i < p->servers->len; i++)
        qmp_send_event(g_ptr_array_index(p->servers, i), message);
}

void qmp_vm_event(void *panel, const struct vm_event *e)
{
    static const char *const names[] = {
        [VM_EVENT_STOP] = "STOP",           [VM_EVENT_RESUME] = "RESUME",
        [VM_EVENT_RESET] = "RESET",         [VM_EVENT_SHUTDOWN] = "SHUTDOWN",
        [VM_EVENT_POWERDOWN] = "POWERDOWN", [VM_EVENT_REPLACED] = NULL,
    };
    bool has_cause = e->kind == VM_EVENT_RESET || e->kind == VM_EVENT_SHUTDOWN;
    GVariant *data = NULL;

    if (!names[e->kind])
        return;
    if (has_cause)
        data = g_variant_new_parsed("{'guest': <%b>, 'reason': <%s>}", vm_cause_is_guest(e->cause),
                                    vm_cause_name(e->cause));
    qmp_emit(panel, names[e->kind], data);
}
