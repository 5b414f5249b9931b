// SPDX-License-Identifier: MIT
// What all devices share: the table of classes, properties, creation and the end.
#include "hw/device.h"

#include "backend/options.h"

#define DEVICE(x) extern const struct device_class x##_class;
#include "hw/devices.def"
#undef DEVICE

static const struct device_class *const classes[] = {
#define DEVICE(x) &x##_class,
#include "hw/devices.def"
#undef DEVICE
    NULL,
};

const struct state_field device_no_state[] = {STATE_END};

const struct device_class *device_class_at(unsigned index)
{
    return index < ARRAY_LEN(classes) ? classes[index] : NULL;
}

const struct device_class *device_class_find(const char *name)
{
    for (unsigned i = 0; classes[i]; i++)
        if (!strcmp(classes[i]->name, name))
            return classes[i];
    return NULL;
}

// --- Properties ---

static const struct device_prop *find_prop(const struct device *dev, const char *name)
{
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static void *prop_at(struct device *dev, const struct device_prop *p)
{
    return (char *)dev + p->offset;
}

static bool is_backend(enum prop_kind kind)
{
    return kind == PROP_CHARDEV || kind == PROP_BLOCK || kind == PROP_NET || kind == PROP_FSDEV;
}

static void set_scalar(struct device *dev, const struct device_prop *p, uint64_t value)
{
    switch (p->kind) {
    case PROP_BOOL:
        *(bool *)prop_at(dev, p) = value != 0;
        break;
    case PROP_U32:
        *(uint32_t *)prop_at(dev, p) = (uint32_t)value;
        break;
    case PROP_U64:
        *(uint64_t *)prop_at(dev, p) = value;
        break;
    default:
        g_assert_not_reached();
    }
}

static void set_string(struct device *dev, const struct device_prop *p, const char *value)
{
    char **at = prop_at(dev, p);
    g_free(*at);
    *at = g_strdup(value);
}

static bool bad_value(const struct device *dev, const char *name, const char *value,
                      const char *expected, GError **error)
{
    g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION, "%s.%s=%s: expected %s", dev->cls->name,
                name, value, expected);
    return false;
}

bool device_set_prop(struct device *dev, const char *name, const char *value,
                     device_resolve *resolve, void *opaque, GError **error)
{
    const struct device_prop *p = find_prop(dev, name);
    uint64_t scalar = 0;
    bool flag = false;

    if (!p) {
        g_set_error(error, FERRY_ERROR, FERRY_ERROR_OPTION,
                    "%s has no property '%s' (-device %s,help lists them)", dev->cls->name, name,
                    dev->cls->name);
        return false;
    }
    if (is_backend(p->kind)) {
        void *backend = resolve(opaque, p->kind, value, error);
        if (!backend) {
            g_prefix_error(error, "%s.%s=%s: ", dev->cls->name, name, value);
            return false;
        }
        *(void **)prop_at(dev, p) = backend;
        return true;
    }
    if (p->kind == PROP_STRING) {
        set_string(dev, p, value);
        return true;
    }
    if (p->kind == PROP_BOOL) {
        if (!parse_bool(value, &flag))
            return bad_value(dev, name, value, "on or off", error);
        scalar = flag;
    } else if (!parse_u64(value, &scalar)) {
        return bad_value(dev, name, value, "a number", error);
    } else if (p->kind == PROP_U32 && scalar > UINT32_MAX) {
        return bad_value(dev, name, value, "a number of 32 bits", error);
    }
    set_scalar(dev, p, scalar);
    return true;
}

void device_set_ptr(struct device *dev, const char *name, void *value)
{
    const struct device_prop *p = find_prop(dev, name);
    g_assert(p && is_backend(p->kind));
    *(void **)prop_at(dev, p) = value;
}

void device_set_u64(struct device *dev, const char *name, uint64_t value)
{
    const struct device_prop *p = find_prop(dev, name);
    g_assert(p);
    set_scalar(dev, p, value);
}

void device_set_str(struct device *dev, const char *name, const char *value)
{
    const struct device_prop *p = find_prop(dev, name);
    g_assert(p && p->kind == PROP_STRING);
    set_string(dev, p, value);
}

// --- Life ---

struct device *device_new(const struct device_class *cls, const struct device_env *env,
                          const char *id, paddr_t base, unsigned nr_irqs)
{
    g_assert(cls->size >= sizeof(struct device) && nr_irqs <= DEVICE_MAX_IRQS);
    struct device *dev = g_malloc0(cls->size);
    dev->cls = cls;
    dev->env = env;
    dev->id = g_strdup(id ? id : cls->name);
    dev->base = base;
    dev->irqs = g_new0(struct irq, nr_irqs);
    dev->nr_irqs = nr_irqs;
    for (const struct device_prop *p = cls->props; p && p->name; p++)
        if (!is_backend(p->kind) && p->kind != PROP_STRING)
            set_scalar(dev, p, p->def);
    return dev;
}

bool device_init(struct device *dev, GError **error)
{
    dev->initialised = !dev->cls->init || dev->cls->init(dev, error);
    return dev->initialised;
}

void device_reset(struct device *dev)
{
    if (dev->cls->reset)
        dev->cls->reset(dev);
}

void device_free(struct device *dev)
{
    if (!dev)
        return;
    if (dev->initialised && dev->cls->free)
        dev->cls->free(dev);
    for (const struct device_prop *p = dev->cls->props; p && p->name; p++)
        if (p->kind == PROP_STRING)
            g_free(*(char **)prop_at(dev, p));
    g_free(dev->irqs);
    g_free(dev->id);
    g_free(dev);
}

void device_connect(struct device *dev, unsigned n, irq_handler *handler, void *opaque,
                    unsigned input)
{
    g_assert(n < dev->nr_irqs);
    dev->irqs[n] = (struct irq){handler, opaque, input};
}
