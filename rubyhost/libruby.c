/*
 * Finds libruby when the host boots instead of when the program starts, so
 * that a program which embeds Ruby runs, and can say what is missing, on a
 * machine without it (tasker-rb doctor, tasker-rb templates lint).
 *
 * Every function of libruby that the bridge calls is a jump through a pointer
 * that tasker_libruby_load fills with dlsym. The symbols are hidden, so libruby's
 * own calls never come here. For processors without such a jump below, libruby
 * is linked in the ordinary way and load does nothing.
 */
#include "ruby_versions.h"

#include "libruby.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef snprintf /* ruby.h makes it ruby_snprintf, which is not there yet */

/* By name. ruby_versions.h has those that only some versions have. */
#define FUNCTIONS(F) \
    F(rb_absint_size) F(rb_ary_entry) F(rb_ary_new) F(rb_ary_new_capa) F(rb_ary_new_from_args) \
    F(rb_ary_new_from_values) F(rb_ary_push) F(rb_assoc_new) F(rb_big2str) F(rb_call_super) F(rb_call_super_kw) \
    F(rb_check_string_type) F(rb_check_to_int) F(rb_complex_imag) F(rb_complex_real) F(rb_const_get) \
    F(rb_cstr_to_dbl) F(rb_data_typed_object_wrap) F(rb_debug_rstring_null_ptr) F(rb_define_class_under) \
    F(rb_define_const) F(rb_define_method) F(rb_define_module) F(rb_define_module_function) \
    F(rb_define_module_under) F(rb_define_private_method) F(rb_define_singleton_method) F(rb_during_gc) \
    F(rb_enc_from_index) F(rb_enc_get_index) F(rb_enc_interned_str) F(rb_enc_str_coderange) F(rb_enc_str_new) \
    F(rb_ensure) F(rb_errinfo) F(rb_exc_raise) F(rb_extend_object) F(rb_fiber_scheduler_get) \
    F(rb_fiber_scheduler_set) F(rb_fix2int) F(rb_float_new) F(rb_float_value) F(rb_funcall) F(rb_funcallv) \
    F(rb_gc_enable) F(rb_gc_mark) F(rb_gc_register_mark_object) F(rb_gv_get) F(rb_hash_aset) F(rb_hash_foreach) \
    F(rb_hash_lookup2) F(rb_hash_new) F(rb_hash_size_num) F(rb_id2sym) F(rb_int2big) F(rb_intern2) F(rb_ivar_get) \
    F(rb_ivar_set) F(rb_jump_tag) F(rb_keyword_given_p) F(rb_load) F(rb_method_call) F(rb_module_new) \
    F(rb_nogvl) F(rb_num2int) F(rb_num2long) F(rb_num2uint) F(rb_num2ull) F(rb_obj_alloc) F(rb_obj_classname) F(rb_obj_dup) \
    F(rb_obj_freeze) F(rb_obj_hide) F(rb_obj_is_kind_of) F(rb_obj_method) F(rb_obj_reveal) F(rb_path2class) F(rb_prepend_module) \
    F(rb_proc_call_kw) F(rb_proc_call_with_block) F(rb_proc_new) F(rb_profile_frame_label) \
    F(rb_profile_frame_method_name) F(rb_profile_frame_path) F(rb_profile_frames) F(rb_protect) \
    F(rb_ractor_local_storage_value_lookup) F(rb_ractor_local_storage_value_newkey) \
    F(rb_ractor_local_storage_value_set) F(rb_raise) F(rb_rational_den) F(rb_rational_num) F(rb_set_errinfo) \
    F(rb_singleton_class) F(rb_str_coderange_scan_restartable) F(rb_str_freeze) F(rb_str_new_cstr) \
    F(rb_str_new_frozen) F(rb_str_new_static) F(rb_str_set_len) F(rb_string_value) F(rb_sym2str) F(rb_syserr_fail) \
    F(rb_thread_check_ints) F(rb_thread_create) F(rb_thread_current) F(rb_thread_interrupted) F(rb_thread_kill) \
    F(rb_thread_wakeup_alive) F(rb_tracepoint_disable) F(rb_uint2inum) F(rb_ull2inum) F(rb_undef_alloc_func) F(rb_usascii_encindex) \
    F(rb_utf8_encindex) F(rb_utf8_encoding) F(rb_utf8_str_new) F(rb_utf8_str_new_cstr) F(rb_utf8_str_new_static) F(ruby_cleanup) \
    F(ruby_executable_node) F(ruby_init_stack) F(ruby_native_thread_p) F(ruby_options) F(ruby_setup) \
    F(ruby_snprintf) F(ruby_sysinit) F(ruby_thread_has_gvl_p) \
    TASKER_FUNCTIONS_OF_THIS_RUBY(F)

#if defined(__x86_64__)
#define JUMP(name) "\tjmp *tasker_pointer_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name) "\tadrp x16, tasker_pointer_" #name "\n\tldr x16, [x16, :lo12:tasker_pointer_" #name "]\n\tbr x16\n"
#endif

#ifdef JUMP

#define DEFINE(name) \
    __attribute__((visibility("hidden"))) void *tasker_pointer_##name; \
    __asm__(".pushsection .text\n\t.globl " #name "\n\t.hidden " #name "\n\t.type " #name ", %function\n" #name ":\n" JUMP(name) \
            "\t.popsection\n");
FUNCTIONS(DEFINE)

static const struct {
    const char *name;
    void **pointer;
} functions[] = {
#define ENTRY(name) {#name, &tasker_pointer_##name},
    FUNCTIONS(ENTRY)
};

/* [any] */
static void *open_library(void)
{
    /* Debian's and Fedora's name, then Ruby's own. */
    static const char *const names[] = {"libruby-%d.%d.so.%d.%d", "libruby.so.%d.%d", NULL};
    char name[64];
    for (int i = 0; names[i]; i++) {
        snprintf(name, sizeof name, names[i], TASKER_RUBY_MAJOR, TASKER_RUBY_MINOR, TASKER_RUBY_MAJOR,
                 TASKER_RUBY_MINOR);
        void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
        if (library) return library;
    }
    return NULL;
}

/* [any] */
char *tasker_libruby_load(void **library)
{
    char text[200];
    *library = open_library();
    if (!*library) {
        snprintf(text, sizeof text, "libruby %d.%d is not installed: %.120s", TASKER_RUBY_MAJOR,
                 TASKER_RUBY_MINOR, dlerror());
        return strdup(text);
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].pointer = dlsym(*library, functions[i].name);
        if (*functions[i].pointer) continue;
        snprintf(text, sizeof text, "libruby %d.%d has no %s: it is not the Ruby this program was built for",
                 TASKER_RUBY_MAJOR, TASKER_RUBY_MINOR, functions[i].name);
        return strdup(text);
    }
    return NULL;
}

#else

/* [any] */
char *tasker_libruby_load(void **library)
{
    *library = RTLD_DEFAULT;
    return NULL;
}

#endif
