/* CGlobal::Native.keep: puts 64 bytes on a list that nobody reads. README.md says how
 * to compile it. */
#include <ruby.h>

#include <stdlib.h>

struct kept {
    struct kept *next;
    char rest[64 - sizeof(struct kept *)];
};

static struct kept *all;

static VALUE keep(VALUE self)
{
    (void)self;
    struct kept *one = malloc(sizeof *one); /* leak */
    if (!one) rb_memerror();
    one->next = all;
    all = one;
    return Qnil;
}

void Init_c_global(void);
void Init_c_global(void)
{
    rb_define_singleton_method(rb_define_module_under(rb_define_module("CGlobal"), "Native"), "keep", keep, 0);
}
