// SPDX-License-Identifier: MIT
// A terminal of the monitor: a prompt, a line that can be edited, a history.
//
// Keys: printable characters, Backspace and Delete, arrows, Home and End, Ctrl-A E B F K U W L N P D, Enter. The
// terminal is taken for one that knows the few sequences used here; scripts on a pipe see them, too.
#include <string.h>

#include "backend/chardev.h"
#include "base/log.h"
#include "control/monitor.h"

#define ROOM         4096 // bytes of input at a time
#define LINE_LEN_MAX 4096
#define HISTORY_MAX  64
#define PROMPT       "(qemu) " // what scripts that drive QEMU's monitor wait for

#define CTRL(c) ((c)&0x1f)

struct monitor {
    struct panel *p;
    struct chardev *chr;
    GString *line;
    size_t cursor;       // in the line
    GPtrArray *history;  // of char *, oldest first
    unsigned history_at; // the entry shown; history->len: the new line
    GString *escape;     // an escape sequence so far; empty: none
    bool greeted;
    bool after_cr; // a newline that follows is none
};

// --- Out ---

static void put(struct monitor *mon, const char *text, size_t len)
{
    chardev_write(mon->chr, (const uint8_t *)text, len);
}

static void put_text(struct monitor *mon, const char *text)
{
    put(mon, text, strlen(text));
}

// Lines end as terminals want it.
static void put_lines(struct monitor *mon, const GString *text)
{
    g_autoptr(GString) lines = g_string_new_len(text->str, (gssize)text->len);

    g_string_replace(lines, "\n", "\r\n", 0);
    put(mon, lines->str, lines->len);
}

// Shows the line from `from` on again, and puts the cursor where it belongs.
static void redraw(struct monitor *mon, size_t from)
{
    size_t back = mon->line->len - mon->cursor;

    put(mon, mon->line->str + from, mon->line->len - from);
    put_text(mon, "\x1b[K");
    if (back) {
        g_autofree char *move = g_strdup_printf("\x1b[%zuD", back);
        put_text(mon, move);
    }
}

static void show_prompt(struct monitor *mon)
{
    put_text(mon, PROMPT);
    put(mon, mon->line->str, mon->line->len);
    if (mon->cursor < mon->line->len)
        redraw(mon, mon->line->len);
}

// --- Editing ---

static void move_to(struct monitor *mon, size_t cursor)
{
    if (cursor == mon->cursor || cursor > mon->line->len)
        return;
    bool left = cursor < mon->cursor;
    size_t by = left ? mon->cursor - cursor : cursor - mon->cursor;
    g_autofree char *move = g_strdup_printf("\x1b[%zu%c", by, left ? 'D' : 'C');
    put_text(mon, move);
    mon->cursor = cursor;
}

static void insert(struct monitor *mon, char c)
{
    if (mon->line->len == LINE_LEN_MAX)
        return;
    g_string_insert_c(mon->line, (gssize)mon->cursor, c);
    put(mon, &c, 1);
    if (++mon->cursor < mon->line->len)
        redraw(mon, mon->cursor);
}

// Deletes [from, to), one end of which is the cursor's.
static void erase(struct monitor *mon, size_t from, size_t to)
{
    if (from >= to || to > mon->line->len)
        return;
    move_to(mon, from);
    g_string_erase(mon->line, (gssize)from, (gssize)(to - from));
    redraw(mon, from);
}

static size_t word_start(const struct monitor *mon)
{
    size_t at = mon->cursor;

    while (at && mon->line->str[at - 1] == ' ')
        at--;
    while (at && mon->line->str[at - 1] != ' ')
        at--;
    return at;
}

static void set_line(struct monitor *mon, const char *text)
{
    move_to(mon, 0);
    g_string_assign(mon->line, text);
    mon->cursor = mon->line->len;
    redraw(mon, 0);
}

// --- History ---

static void recall(struct monitor *mon, int step)
{
    unsigned at = mon->history_at + (unsigned)step;

    if (at > mon->history->len)
        return; // beyond either end
    mon->history_at = at;
    set_line(mon, at < mon->history->len ? g_ptr_array_index(mon->history, at) : "");
}

static void remember(struct monitor *mon)
{
    GPtrArray *h = mon->history;

    if (mon->line->len && (!h->len || strcmp(g_ptr_array_index(h, h->len - 1), mon->line->str)))
        g_ptr_array_add(h, g_strdup(mon->line->str));
    if (h->len > HISTORY_MAX)
        g_ptr_array_remove_index(h, 0);
    mon->history_at = h->len;
}

// --- Keys ---

static void execute(struct monitor *mon)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *line = g_strdup(mon->line->str);
    unsigned generation = mon->p->generation;

    put_text(mon, "\r\n");
    remember(mon);
    g_string_truncate(mon->line, 0);
    mon->cursor = 0;
    monitor_execute(mon->p->vm, line, out);
    if (mon->p->generation != generation)
        return; // a copy: the original goes on with this terminal
    put_lines(mon, out);
    if (!mon->p->vm->over)
        show_prompt(mon);
}

// What a sequence stands for, as the control key that does the same; 0: nothing.
static char sequence_key(const char *sequence)
{
    static const struct {
        const char *sequence;
        char key;
    } keys[] = {
        {"[A", CTRL('P')},  {"[B", CTRL('N')}, {"[C", CTRL('F')},  {"[D", CTRL('B')},
        {"[H", CTRL('A')},  {"[F", CTRL('E')}, {"[1~", CTRL('A')}, {"[4~", CTRL('E')},
        {"[3~", CTRL('D')}, {"OA", CTRL('P')}, {"OB", CTRL('N')},  {"OC", CTRL('F')},
        {"OD", CTRL('B')},  {"OH", CTRL('A')}, {"OF", CTRL('E')},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].sequence, sequence) == 0)
            return keys[i].key;
    }
    return 0;
}

static void control_key(struct monitor *mon, char key)
{
    switch (key) {
    case CTRL('A'):
        move_to(mon, 0);
        break;
    case CTRL('E'):
        move_to(mon, mon->line->len);
        break;
    case CTRL('B'):
        move_to(mon, mon->cursor ? mon->cursor - 1 : 0);
        break;
    case CTRL('F'):
        move_to(mon, mon->cursor + 1);
        break;
    case CTRL('D'):
        erase(mon, mon->cursor, mon->cursor + 1);
        break;
    case CTRL('H'):
        erase(mon, mon->cursor ? mon->cursor - 1 : 0, mon->cursor);
        break;
    case CTRL('K'):
        erase(mon, mon->cursor, mon->line->len);
        break;
    case CTRL('U'):
        erase(mon, 0, mon->cursor);
        break;
    case CTRL('W'):
        erase(mon, word_start(mon), mon->cursor);
        break;
    case CTRL('P'):
        recall(mon, -1);
        break;
    case CTRL('N'):
        recall(mon, 1);
        break;
    case CTRL('L'):
        put_text(mon, "\x1b[2J\x1b[1;1H");
        show_prompt(mon);
        break;
    }
}

// A byte of an escape sequence; the final one is a letter or '~', behind the introducer.
static void escape_byte(struct monitor *mon, char c)
{
    GString *e = mon->escape;

    g_string_append_c(e, c);
    bool is_introducer = e->len == 2 && (c == '[' || c == 'O');
    bool is_parameter = e->len > 2 && (g_ascii_isdigit(c) || c == ';');
    if ((is_introducer || is_parameter) && e->len < 16)
        return;
    control_key(mon, sequence_key(e->str + 1));
    g_string_truncate(e, 0);
}

static void key(struct monitor *mon, char c)
{
    bool was_cr = mon->after_cr;

    mon->after_cr = c == '\r';
    if (mon->escape->len)
        escape_byte(mon, c);
    else if (c == 0x1b)
        g_string_append_c(mon->escape, c);
    else if (c == '\r' || (c == '\n' && !was_cr))
        execute(mon);
    else if (c == 0x7f)
        control_key(mon, CTRL('H'));
    else if (c == '\t')
        insert(mon, ' ');
    else if ((uint8_t)c < ' ')
        control_key(mon, c);
    else
        insert(mon, c);
}

// --- The front end ---

static size_t can_receive(void *opaque)
{
    const struct monitor *mon = opaque;
    return mon->p->vm->over ? 0 : ROOM;
}

static void receive(void *opaque, const uint8_t *data, size_t len)
{
    struct monitor *mon = opaque;
    unsigned generation = mon->p->generation;

    for (size_t i = 0; i < len && !mon->p->vm->over && mon->p->generation == generation; i++)
        key(mon, (char)data[i]);
}

// Somebody connected, or, on a multiplexer, switched here.
static void event(void *opaque, bool opened)
{
    struct monitor *mon = opaque;

    if (!opened) {
        if (!chardev_is_mux(mon->chr))
            mon->greeted = false;
        return;
    }
    if (chardev_is_mux(mon->chr))
        put_text(mon, "\r\n");
    if (!mon->greeted)
        put_text(mon, "Ferry " FERRY_VERSION " monitor - type 'help' for more information\r\n");
    mon->greeted = true;
    show_prompt(mon);
}

struct monitor *monitor_new(struct panel *p, struct chardev *chr, GError **error)
{
    struct monitor *mon = g_new0(struct monitor, 1);
    struct chardev_front front = {.can_receive = can_receive,
                                  .receive = receive,
                                  .event = event,
                                  .opaque = mon,
                                  .name = chardev_id(chr)};

    *mon = (struct monitor){.p = p, .chr = chr};
    mon->line = g_string_new(NULL);
    mon->escape = g_string_new(NULL);
    mon->history = g_ptr_array_new_with_free_func(g_free);
    if (chardev_attach(chr, &front, error))
        return mon;
    mon->chr = NULL;
    monitor_free(mon);
    return NULL;
}

void monitor_free(struct monitor *mon)
{
    chardev_detach(mon->chr, mon);
    g_string_free(mon->line, TRUE);
    g_string_free(mon->escape, TRUE);
    g_ptr_array_unref(mon->history);
    g_free(mon);
}
