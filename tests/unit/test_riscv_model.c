// SPDX-License-Identifier: MIT
// RISC-V CPU models: what -cpu accepts, what comes of it, and the one line said when it cannot be.
#include "tests/unit/riscv_bare.h"

static char *isa_of(const char *model, unsigned xlen)
{
    struct rig r = rig_new(model, xlen);
    char *isa = g_strdup(riscv_cpu_isa_string(r.cpu));
    rig_free(&r);
    return isa;
}

// The message of a model that is refused.
static char *refusal(const char *model, unsigned xlen)
{
    struct rig r = rig_new(NULL, xlen);
    GError *error = NULL;
    struct riscv_cpu_config cfg = {
        .model = model, .xlen = xlen, .mem = r.mem, .clock = r.clock, .time_hz = 1};
    cr_assert_null(riscv_cpu_new(&cfg, &error), "%s", model);
    cr_assert(error);
    char *text = g_strdup(error->message);
    g_error_free(error);
    rig_free(&r);
    return text;
}

static void expect_refusal(const char *model, unsigned xlen, const char *want)
{
    char *text = refusal(model, xlen);
    cr_assert_str_eq(text, want);
    g_free(text);
}

static void expect_has(const char *model, unsigned xlen, const char *ext, bool want)
{
    struct rig r = rig_new(model, xlen);
    cr_assert_eq(riscv_cpu_has(r.cpu, ext), want, "%s in %s", ext, model);
    rig_free(&r);
}

static void expect_mmu(const char *model, unsigned xlen, const char *want)
{
    struct rig r = rig_new(model, xlen);
    const char *got = riscv_cpu_mmu_type(r.cpu);
    cr_assert_eq(g_strcmp0(got, want), 0, "%s: %s", model, got);
    cr_assert_eq(riscv_cpu_has(r.cpu, "mmu"), want != NULL);
    rig_free(&r);
}

// ---- ISA strings ----

Test(riscv_model, isa_strings)
{
    static const struct {
        const char *model;
        unsigned xlen;
        const char *isa;
    } models[] = {
        {NULL, 64,
         "rv64imafdc_zic64b_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicond_"
         "zicsr_zifencei"
         "_zihintntl_zihintpause_zihpm_zmmul_za64rs_zaamo_zalrsc_zawrs_zfa_zca_zcd_zba_zbb_zbc_zbs"
         "_ssccptr_sscounterenw_sstc_sstvala_sstvecd_svadu_svvptc"},
        {"rv32", 32,
         "rv32imafdc_zic64b_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicond_"
         "zicsr_zifencei"
         "_zihintntl_zihintpause_zihpm_zmmul_za64rs_zaamo_zalrsc_zawrs_zfa_zca_zcd_zcf_zba_zbb_zbc_"
         "zbs"
         "_ssccptr_sscounterenw_sstc_sstvala_sstvecd_svadu_svvptc"},
        {"rv64,short-isa-string=on", 64, "rv64imafdc"},
        {"sifive-e31", 32, "rv32imac_zicntr_zicsr_zifencei_zihpm_zmmul_zaamo_zalrsc_zca"},
        {"sifive-u54", 64, "rv64imafdc_zicntr_zicsr_zifencei_zihpm_zmmul_zaamo_zalrsc_zca_zcd"},
        {"shakti-c", 64, "rv64imafdc_zicntr_zicsr_zifencei_zihpm_zmmul_zaamo_zalrsc_zca_zcd"},
        {"SIFIVE-E31,m=off,a=off,c=off,Counters=off", 32, "rv32i_zicsr_zifencei"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        char *isa = isa_of(models[i].model, models[i].xlen);
        cr_assert_str_eq(isa, models[i].isa);
        g_free(isa);
    }
}

// Canonical order: single letters, then Z by category and name, then S by name; each once.
Test(riscv_model, order_of_the_largest)
{
    static const char categories[] = "imafdcbk";
    for (unsigned xlen = 32; xlen <= 64; xlen += 32) {
        char *isa = isa_of("max", xlen);
        char **words = g_strsplit(isa, "_", -1);
        cr_assert_str_eq(words[0], xlen == 32 ? "rv32imafdc" : "rv64imafdc");
        for (unsigned i = 2; words[i]; i++) {
            const char *a = words[i - 1], *b = words[i];
            if (a[0] != b[0]) {
                cr_assert(a[0] == 'z' && b[0] == 's');
                continue;
            }
            const char *ca = strchr(categories, a[1]), *cb = strchr(categories, b[1]);
            bool ordered = a[0] == 's' || ca == cb ? strcmp(a, b) < 0 : ca < cb;
            cr_assert(ordered, "%s before %s", a, b);
        }
        g_strfreev(words);
        g_free(isa);
    }
}

// ---- Extensions ----

Test(riscv_model, switches)
{
    expect_has("rv64", 64, "zbkb", false);
    expect_has("rv64,zbkb=on", 64, "zbkb", true);
    expect_has("rv64,x-Zbkb=true", 64, "zbkb", true);
    expect_has("rv64,zba=off", 64, "zba", false);
    expect_has("rv64,zba=off,zba=on", 64, "zba", true);
    expect_has("rv64,B=no", 64, "zbs", false);
    expect_has("rv64,v=off,h=false", 64, "zba", true);
    expect_has("sifive-e31,g=on", 32, "d", true);
    expect_has("max", 64, "svade", false);
    expect_has("max", 64, "svnapot", true);
    expect_has("max", 32, "svnapot", false);
    expect_has("max", 64, "zcf", false);
}

Test(riscv_model, dependencies)
{
    expect_has("rv64,f=off", 64, "d", false);
    expect_has("rv64,f=off", 64, "zfa", false);
    expect_has("rv64,f=off", 64, "zcd", false);
    expect_has("rv64,c=off", 64, "zca", false);
    expect_has("max,c=off", 64, "zcb", false);
    expect_has("rv64,c=off,zcb=on", 64, "zca", true);
    expect_has("rv64,c=off,zcb=on", 64, "zcd", false);
    expect_has("rv64,zfh=on", 64, "zfhmin", true);
    expect_has("rv64,zfhmin=on", 64, "zfh", false);
    expect_has("rv64,m=off,zmmul=on", 64, "zmmul", true);
    expect_has("rv64,a=off,zalrsc=on", 64, "zaamo", false);
    expect_has("rv64,s=off", 64, "mmu", false);
    expect_has("rv64,u=off", 64, "s", false);
    expect_has("rv64,pmp=off", 64, "pmp", false);
    expect_has("sifive-e31,d=on", 32, "f", true);
    expect_has("sifive-e31,svinval=on", 32, "mmu", true);
    expect_has("rv32,d=off,zcmp=on", 32, "zcmp", true);
    expect_has("rv64,misaligned=off", 64, "zicclsm", false);
}

Test(riscv_model, refusals)
{
    static const struct {
        const char *model;
        unsigned xlen;
        const char *message;
    } bad[] = {
        {"rv64,v=true", 64, "-cpu: v (vector) is not implemented by this version"},
        {"rv64,V=on", 64, "-cpu: v (vector) is not implemented by this version"},
        {"rv64,h=on", 64, "-cpu: h (hypervisor) is not implemented by this version"},
        {"cortex-a53", 64, "-cpu: there is no model \"cortex-a53\"; -cpu help lists them"},
        {"", 64, "-cpu: there is no model \"\"; -cpu help lists them"},
        {"rv32", 64, "-cpu: rv32 is a 32-bit model, but this machine is of 64 bits"},
        {"rv64,zfoo=on", 64, "-cpu: there is no option \"zfoo\"; -cpu help lists them"},
        {"rv64,zba", 64, "-cpu: \"zba\" should be name=value"},
        {"rv64,=on", 64, "-cpu: \"=on\" should be name=value"},
        {"rv64,zba=maybe", 64, "-cpu: zba=maybe: must be on or off"},
        {"rv64,f=off,d=on", 64, "-cpu: d needs f, which is off"},
        {"rv64,d=on,f=off", 64, "-cpu: d needs f, which is off"},
        {"rv64,zicsr=off,zfa=on", 64, "-cpu: f needs zicsr, which is off"},
        {"rv64,zca=off", 64, "-cpu: zca=off: it is a part of others that are on"},
        {"rv32,svnapot=on", 32, "-cpu: svnapot is for 64-bit CPUs"},
        {"rv64,zcf=on", 64, "-cpu: zcf is for 32-bit CPUs"},
        {"rv64,i=off", 64, "-cpu: i (the base instructions) cannot be switched off"},
        {"rv64,zcmp=on", 64,
         "-cpu: zcmp uses the encodings of zcd, which c and d bring; switch c or d off"},
        {"rv64,sv32=on", 64, "-cpu: sv32 is for 32-bit CPUs"},
        {"rv64,sv48=on,sv39=off", 64, "-cpu: sv39=off: the larger mode that is on needs it"},
        {"rv64,sv48=on,sv48=off", 64, "-cpu: a paging mode is both on and off"},
        {"rv64,mmu=off,sv39=on", 64, "-cpu: paging modes need mmu=on and s=on"},
        {"rv64,cbom_blocksize=32", 64, "-cpu: cbom_blocksize=32: cache blocks have 64 bytes"},
        {"rv64,mvendorid=x", 64, "-cpu: mvendorid=x: must be a number"},
        {"rv64,marchid=-1", 64, "-cpu: marchid=-1: must be a number"},
        {"rv64,mimpid=99999999999999999999", 64,
         "-cpu: mimpid=99999999999999999999: must be a number"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        expect_refusal(bad[i].model, bad[i].xlen, bad[i].message);
}

// ---- The rest ----

Test(riscv_model, paging_modes)
{
    expect_mmu(NULL, 64, "riscv,sv48");
    expect_mmu(NULL, 32, "riscv,sv32");
    expect_mmu("max", 64, "riscv,sv57");
    expect_mmu("sifive-u54", 64, "riscv,sv39");
    expect_mmu("sifive-e51", 64, NULL);
    expect_mmu("rv64,mmu=off", 64, NULL);
    expect_mmu("rv64,s=off", 64, NULL);
    expect_mmu("rv64,sv57=on", 64, "riscv,sv57");
    expect_mmu("rv64,sv39=on", 64, "riscv,sv39");
    expect_mmu("rv64,sv48=off", 64, "riscv,sv39");
    expect_mmu("max,sv57=off", 64, "riscv,sv48");
    expect_mmu("rv64,sv39=off", 64, NULL);
    expect_mmu("rv32,sv32=off", 32, NULL);
    expect_mmu("sifive-e51,mmu=on", 64, "riscv,sv39");
}

Test(riscv_model, numbers)
{
    struct rig r = rig_new(
        "rv64,mvendorid=0x489,marchid=7,mimpid=0x20180213,cbom_blocksize=64,resetvec=0x1000", 64);
    cr_assert_eq(csr_r(&r, 0xf11), 0x489);
    cr_assert_eq(csr_r(&r, 0xf12), 7);
    cr_assert_eq(csr_r(&r, 0xf13), 0x20180213);
    cr_assert_eq(r.cpu->pc, 0x1000);
    rig_free(&r);
}

Test(riscv_model, what_boards_ask)
{
    struct rig r = rig_new("rv32,misaligned=off", 32);
    cr_assert_eq(riscv_cpu_xlen(r.cpu), 32);
    cr_assert_eq(riscv_cpu_hartid(r.cpu), 3);
    cr_assert(r.cpu->align_all);
    cr_assert(r.cpu->vars == riscv_vars32);
    riscv_cpu_set_entry(r.cpu, ~UINT64_C(0xff));
    cr_assert_eq(r.cpu->pc, 0xffffff00);
    rig_free(&r);
    r = rig_new("rv64", 64);
    cr_assert(!r.cpu->align_all);
    cr_assert(r.cpu->vars == riscv_vars64);
    for (unsigned i = 0; i < 32; i++) {
        cr_assert_str_eq(riscv_vars64[i].name, riscv_x_names[i]);
        cr_assert_str_eq(riscv_vars32[RV_F0 + i].name, riscv_f_names[i]);
        cr_assert_eq(riscv_vars32[i].offset, i * 8);
        cr_assert_eq(riscv_vars64[RV_F0 + i].offset, 256 + i * 8);
    }
    rig_free(&r);
}

// Whatever is printed as an option is one.
Test(riscv_model, help)
{
    for (unsigned xlen = 32; xlen <= 64; xlen += 32) {
        char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);
        riscv_cpu_print_help(xlen, f);
        fclose(f);
        cr_assert(strstr(text, "  max "));
        cr_assert_eq(strstr(text, "rv32") != NULL, xlen == 32);
        char *list = strstr(text, "NAME=off:") + strlen("NAME=off:");
        *strstr(list, "Options") = 0;
        char **words = g_strsplit_set(list, " \n", -1);
        for (unsigned i = 0; words[i]; i++) {
            if (!*words[i])
                continue;
            char *model = g_strdup_printf("rv%u,%s=on%s", xlen, words[i],
                                          strcmp(words[i], "zcmp") ? "" : ",d=off");
            struct rig r = rig_new(model, xlen);
            rig_free(&r);
            g_free(model);
        }
        g_strfreev(words);
        free(text);
    }
}
