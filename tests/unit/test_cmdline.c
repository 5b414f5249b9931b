// SPDX-License-Identifier: MIT
// The command line: what options mean, in all their spellings, and what each mistake says.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control/cmdline.h"

#define MIB (UINT64_C(1) << 20)

// Parses a command line that is given as one string; words are separated by blanks.
static struct cmdline *parse_as(const char *program, const char *text, GError **error)
{
    g_autofree char *all = g_strconcat(program, *text ? " " : "", text, NULL);
    g_auto(GStrv) argv = g_strsplit(all, " ", -1);

    return cmdline_parse((int)g_strv_length(argv), argv, error);
}

static struct cmdline *parse(const char *text)
{
    GError *error = NULL;
    struct cmdline *c = parse_as("ferry", text, &error);

    cr_assert(c, "'%s': %s", text, error ? error->message : "");
    return c;
}

// The mistake is one line that starts with the option and holds `part`.
static void refused(const char *text, const char *part)
{
    GError *error = NULL;
    struct cmdline *c = parse_as("ferry", text, &error);

    cr_assert(!c, "'%s' was accepted", text);
    cr_assert(error && strstr(error->message, part), "'%s' says '%s', which lacks '%s'", text,
              error ? error->message : "nothing", part);
    cr_assert(error->message[0] == '-' && !strchr(error->message, '\n'), "'%s'", error->message);
    g_error_free(error);
}

// What is written to stderr while `text` is parsed.
static char *warnings(const char *text)
{
    char buf[4096];
    int pipes[2], saved = dup(STDERR_FILENO);

    fflush(stderr);
    cr_assert_eq(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    cmdline_free(parse(text));
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t len = read(pipes[0], buf, sizeof(buf));
    close(pipes[0]);
    return g_strndup(buf, len > 0 ? (gsize)len : 0);
}

Test(cmdline, strings_one_dash_or_two_and_the_last_counts)
{
    struct cmdline *c =
        parse("-kernel a --kernel b -append x=1,y --bios none -initrd i -dtb d file.elf");
    cr_assert_str_eq(c->kernel, "b");
    cr_assert_str_eq(c->append, "x=1,y");
    cr_assert_str_eq(c->bios, "none");
    cr_assert_str_eq(c->initrd, "i");
    cr_assert_str_eq(c->dtb, "d");
    cr_assert_str_eq(c->file, "file.elf");
    cmdline_free(c);
}

Test(cmdline, defaults)
{
    struct cmdline *c = parse("");
    cr_assert(!c->machine && !c->kernel && !c->cpu && !c->smp && !c->ram_size && !c->until);
    cr_assert_eq(c->accel, ACCEL_DBT);
    cr_assert_eq(c->pace, PACE_AUTO);
    cr_assert_eq(c->bits, 0);
    cmdline_free(c);
}

Test(cmdline, unknown_options_name_the_nearest)
{
    refused("-kernl x", "-kernl: no such option; did you mean -kernel?");
    refused("--no-rebot", "--no-rebot: no such option; did you mean -no-reboot?");
    refused("-nographics", "did you mean -nographic?");
    refused("-m=128M", "-m=128M: write -m 128M");
    refused("-zzzzzzzzzz", "-zzzzzzzzzz: no such option (-help lists them)");
    refused("-kernel", "-kernel: needs an argument: FILE");
    cr_assert(!parse_as("ferry", "a b", NULL));
}

Test(cmdline, memory_sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"256", 256 * MIB},
                 {"128M", 128 * MIB},
                 {"2G", 2048 * MIB},
                 {"size=512M", 512 * MIB},
                 {"64m,slots=2,maxmem=1G", 64 * MIB},
                 {"4096K", 4 * MIB}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        g_autofree char *text = g_strconcat("-m ", cases[i].text, NULL);
        struct cmdline *c = parse(text);
        cr_assert_eq(c->ram_size, cases[i].bytes, "%s", text);
        cmdline_free(c);
    }
    refused("-m 0", "-m 0: too small");
    refused("-m lots", "-m lots: not a size");
    refused("-m 999999T", "-m 999999T: too much");
    refused("-m 1G,colour=red", "colour");
}

Test(cmdline, number_of_cpus)
{
    static const struct {
        const char *text;
        unsigned cpus;
    } cases[] = {{"4", 4},
                 {"cpus=2", 2},
                 {"2,sockets=1,cores=2,threads=1", 2},
                 {"cores=2,threads=2", 4},
                 {"2,maxcpus=4", 2},
                 {"maxcpus=3", 3}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        g_autofree char *text = g_strconcat("-smp ", cases[i].text, NULL);
        struct cmdline *c = parse(text);
        cr_assert_eq(c->smp, cases[i].cpus, "%s", text);
        cmdline_free(c);
    }
    refused("-smp 0", "a machine needs a CPU");
    refused("-smp four", "-smp: cpus: 'four' is not a number");
    refused("-smp 8,cores=2", "8 CPUs do not fit");
}

Test(cmdline, machine_and_its_properties)
{
    struct cmdline *c =
        parse("-machine virt,aclint=on,accel=interp,usb=off,dumpdtb=x.dtb,misaligned=off,a=b,,c");
    cr_assert_str_eq(c->machine, "virt");
    cr_assert_str_eq(c->dumpdtb, "x.dtb");
    cr_assert_eq(c->accel, ACCEL_INTERP);
    cr_assert(c->no_misaligned);
    cr_assert_eq(g_hash_table_size(c->machine_props), 2);
    cr_assert_str_eq(g_hash_table_lookup(c->machine_props, "aclint"), "on");
    cr_assert_str_eq(g_hash_table_lookup(c->machine_props, "a"), "b,c");
    cmdline_free(c);
    c = parse("-M type=spike");
    cr_assert_str_eq(c->machine, "spike");
    cmdline_free(c);
    refused("-M virt,misaligned=maybe", "expected on or off");
}

Test(cmdline, accelerators_fall_through)
{
    struct cmdline *c = parse("-accel interp -accel dbt");
    cr_assert_eq(c->accel, ACCEL_INTERP);
    cmdline_free(c);
    c = parse("-accel tcg,thread=single,tb-size=64");
    cr_assert_eq(c->accel, ACCEL_DBT);
    cr_assert_eq(c->code_cache_size, 64 * MIB);
    cmdline_free(c);
    g_autofree char *said = warnings("-M virt,accel=kvm:interp");
    cr_assert(strstr(said, "there is no kvm here"));
    g_autofree char *kvm = warnings("-enable-kvm");
    cr_assert(strstr(kvm, "no hardware virtualization"));
    refused("-accel dtb", "no accelerator 'dtb'; expected dbt (or tcg) or interp");
}

Test(cmdline, help_topics)
{
    static const struct {
        const char *text;
        enum help_topic topic;
        const char *name;
    } cases[] = {
        {"-help", HELP_OPTIONS, NULL},
        {"-h", HELP_OPTIONS, NULL},
        {"--version", HELP_VERSION, NULL},
        {"-machine help", HELP_MACHINE, NULL},
        {"-M ?", HELP_MACHINE, NULL},
        {"-M virt,help", HELP_MACHINE, "virt"},
        {"-cpu help", HELP_CPU, NULL},
        {"-device ?", HELP_DEVICE, NULL},
        {"-device foo,help", HELP_DEVICE, "foo"},
        {"-device foo,?", HELP_DEVICE, "foo"},
        {"-chardev ?", HELP_CHARDEV, NULL},
        {"-netdev help", HELP_NETDEV, NULL},
        {"-fsdev help", HELP_FSDEV, NULL},
        {"-accel help", HELP_ACCEL, NULL},
        {"-display help", HELP_DISPLAY, NULL},
        {"-d help", HELP_LOG, NULL},
        {"-version -nonsense", HELP_VERSION, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cmdline *c = parse(cases[i].text);
        cr_assert_eq(c->help, cases[i].topic, "%s", cases[i].text);
        cr_assert_eq(g_strcmp0(c->help_name, cases[i].name), 0, "%s", cases[i].text);
        cmdline_free(c);
    }
}

Test(cmdline, devices_and_globals)
{
    struct cmdline *c = parse(
        "-device virtio-blk-device,drive=hd0,id=disk,flag -global virtio-mmio.force-legacy=false "
        "-global driver=a,property=b,value=c.d=e");
    struct machine_device_opt *d = g_ptr_array_index(c->devices, 0);
    static const char *const props[] = {"drive", "hd0", "flag", "on"};
    static const char *const globals[] = {"virtio-mmio", "force-legacy", "false", "a",
                                          "b",           "c.d=e"};

    cr_assert_str_eq(d->driver, "virtio-blk-device");
    cr_assert_str_eq(d->id, "disk");
    cr_assert_eq(d->props->len, ARRAY_LEN(props));
    for (unsigned i = 0; i < ARRAY_LEN(props); i++)
        cr_assert_str_eq(g_ptr_array_index(d->props, i), props[i]);
    cr_assert_eq(c->globals->len, ARRAY_LEN(globals));
    for (unsigned i = 0; i < ARRAY_LEN(globals); i++)
        cr_assert_str_eq(g_ptr_array_index(c->globals, i), globals[i]);
    cmdline_free(c);
    refused("-global nothing", "-global nothing: expected DRIVER.PROPERTY=VALUE");
    refused("-device ,id=x", "which device?");
}

Test(cmdline, loaders)
{
    struct cmdline *c = parse("-device loader,file=a.bin,addr=0x80000000,force-raw=on,cpu-num=1 "
                              "-device loader,data=0x1234,data-len=2,data-be=true,addr=16");
    struct machine_loader_opt *a = &g_array_index(c->loaders, struct machine_loader_opt, 0),
                              *b = a + 1;

    cr_assert_eq(c->loaders->len, 2);
    cr_assert_eq(c->devices->len, 0);
    cr_assert_str_eq(a->file, "a.bin");
    cr_assert(a->has_addr && a->force_raw && !a->data_be);
    cr_assert_eq(a->addr, 0x80000000);
    cr_assert_eq(a->cpu_num, 1);
    cr_assert(!b->file && b->data_be);
    cr_assert_eq(b->data, 0x1234);
    cr_assert_eq(b->data_len, 2);
    cr_assert_eq(b->cpu_num, -1);
    cmdline_free(c);
    refused("-device loader,addr=here", "addr");
    refused("-device loader,file=a,data=1,data-len=1,addr=0", "data: not together with file=");
    refused("-device loader,size=1", "unknown option 'size'");
}

static void has_items(const GArray *items, const char *const *want)
{
    for (unsigned i = 0; i < items->len; i++) {
        const struct cmdline_item *item = &g_array_index(items, struct cmdline_item, i);
        g_autofree char *text = g_strconcat(item->option, " ", item->text, NULL);
        cr_assert(want[i]);
        cr_assert_str_eq(text, want[i]);
    }
    cr_assert(!want[items->len]);
}

Test(cmdline, back_ends_stay_in_order)
{
    struct cmdline *c =
        parse("-serial mon:stdio -serial null -chardev pty,id=p -hda a -drive file=b,if=none,id=x "
              "-netdev user,id=n -nic none -net user -fsdev local,id=f,path=/ -snapshot -nographic "
              "-display none -nodefaults -virtfs local,path=/,mount_tag=t -monitor none");
    has_items(c->serials, (const char *const[]){"serial mon:stdio", "serial null", NULL});
    has_items(c->chardevs, (const char *const[]){"chardev pty,id=p", NULL});
    has_items(c->drives, (const char *const[]){"hda a", "drive file=b,if=none,id=x", NULL});
    has_items(c->nets, (const char *const[]){"netdev user,id=n", "nic none", "net user", NULL});
    has_items(c->fsdevs, (const char *const[]){"fsdev local,id=f,path=/",
                                               "virtfs local,path=/,mount_tag=t", NULL});
    cr_assert(c->snapshot && c->nographic && c->no_display && c->nodefaults);
    cmdline_free(c);
}

Test(cmdline, time)
{
    struct cmdline *c = parse(
        "-icount shift=7,align=off,sleep=off -rtc base=2024-02-29T12:00:01,clock=vm -seed 0x10");
    cr_assert_eq(c->icount_shift, 7);
    cr_assert_eq(c->pace, PACE_OFF);
    cr_assert(c->has_epoch);
    cr_assert_eq(c->epoch_ns, UINT64_C(1709208001) * 1000000000);
    cr_assert_eq(c->seed, 16);
    cmdline_free(c);
    c = parse("-icount auto,sleep=on -rtc base=1970-01-02");
    cr_assert_eq(c->icount_shift, 0);
    cr_assert_eq(c->pace, PACE_ON);
    cr_assert_eq(c->epoch_ns, UINT64_C(86400) * 1000000000);
    cmdline_free(c);
    c = parse("-rtc base=2024-02-29 -rtc base=utc");
    cr_assert(!c->has_epoch);
    cmdline_free(c);
    refused("-icount shift=11", "shift is a number from 0 to 10");
    c = parse("-icount 3,rr=record,rrfile=x");
    cr_assert_str_eq(c->record, "x");
    cr_assert_null(c->replay);
    cmdline_free(c);
    c = parse("-icount rr=replay,rrfile=y -replay z");
    cr_assert_str_eq(c->replay, "z");
    cmdline_free(c);
    refused("-icount rr=record", "rrfile: missing");
    refused("-icount rrfile=x", "rr: missing");
    refused("-icount rr=play,rrfile=x", "'play' is neither record nor replay");
    refused("-rtc base=yesterday", "expected utc or a date");
    refused("-rtc base=2024-02-30", "expected utc or a date");
}

Test(cmdline, counts_have_decimal_suffixes)
{
    struct cmdline *c = parse("-until 5M -hash-every 10k,file=h");
    cr_assert_eq(c->until, 5000000);
    cr_assert_eq(c->hash_every, 10000);
    cr_assert_str_eq(c->hash_file, "h");
    cmdline_free(c);
    c = parse("-icount-limit 12");
    cr_assert_eq(c->until, 12);
    cmdline_free(c);
    refused("-until soon", "-until soon: not a number");
    refused("-until 99999999999999T", "not a number");
    refused("-hash-every 0", "expected a number of instructions");
}

Test(cmdline, what_is_not_there_says_so)
{
    refused("-semihosting", "no semihosting");
    refused("-semihosting-config enable=on,target=native", "no semihosting");
    g_autofree char *said =
        warnings("-monitor none -monitor null -qmp none -semihosting-config enable=off "
                 "-vga none -parallel none -audio none -no-user-config -name x -display none");
    cr_assert_str_eq(said, "");
}

Test(cmdline, what_means_nothing_is_ignored_aloud)
{
    g_autofree char *said = warnings("-k de -boot menu=on -usb -uuid 0 -display gtk");
    static const char *const parts[] = {"-k de: ignored", "-boot menu=on: ignored", "-usb: ignored",
                                        "-uuid 0: ignored", "-display gtk: there is no window"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        cr_assert(strstr(said, parts[i]), "'%s' lacks '%s'", said, parts[i]);
}

Test(cmdline, actions)
{
    struct cmdline *c = parse("-no-reboot -no-shutdown -S");
    cr_assert(c->no_reboot && c->no_shutdown && c->start_paused);
    cmdline_free(c);
    c = parse("-action reboot=shutdown,shutdown=pause,panic=none");
    cr_assert(c->no_reboot && c->no_shutdown);
    cmdline_free(c);
    refused("-action reboot=never", "reboot is reset or shutdown");
}

Test(cmdline, the_programs_name_picks_the_width)
{
    static const struct {
        const char *program;
        unsigned bits;
    } cases[] = {{"ferry", 0},
                 {"/usr/bin/qemu-system-riscv64", 64},
                 {"ferry-system-riscv32", 32},
                 {"qemu-system-riscv32-8.2", 32}};
    GError *error = NULL;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cmdline *c = parse_as(cases[i].program, "-m 1G", NULL);
        cr_assert_eq(c->bits, cases[i].bits, "%s", cases[i].program);
        cmdline_free(c);
    }
    cr_assert(!parse_as("qemu-system-arm", "", &error));
    cr_assert(strstr(error->message, "no guest 'arm'; there are riscv32 and riscv64"));
    g_error_free(error);
}

Test(cmdline, help_prints_each_option_in_80_columns)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    cmdline_print_help(out);
    fclose(out);
    cr_assert(strstr(text, "\n  -kernel FILE"));
    cr_assert(strstr(text, "\n  -M, -machine NAME[,PROP=VALUE...]\n"));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        cr_assert(strlen(*line) <= 80, "too long: %s", *line);
    free(text);
}
