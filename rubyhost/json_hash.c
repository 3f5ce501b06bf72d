/*
 * Hashes as JSON objects. No key is written twice.
 *
 * Most Hashes have only Symbols as keys, or only Strings. Their keys are distinct
 * by the Hash's own rules, and are written as they stand. The keys of any other
 * Hash are first collected, by name, in a Hash of our own, which refuses a name
 * that comes twice. Every function here is [GVL].
 */
#include "json_writer.h"

/* A Hash with as many pairs is not looked through in one go. */
enum { few_pairs = 1024 };

static VALUE string_class;
static ID id_to_s;

/* The kinds of keys that a Hash may have. */
enum { symbols = 1, strings = 2, others = 4 };

typedef struct key_survey {
    tasker_writer *writer;
    int kinds;
    long count;
    VALUE first; /* the first key */
} key_survey;

static int look_at_key(VALUE key, VALUE value, VALUE arg)
{
    (void)value;
    key_survey *s = (key_survey *)arg;
    if (RB_SYMBOL_P(key)) s->kinds |= tasker_json_is_plain(rb_sym2str(key)) ? symbols : others;
    else if (RB_TYPE_P(key, T_STRING) && RBASIC_CLASS(key) == string_class && tasker_json_is_plain(key)) s->kinds |= strings;
    else s->kinds |= others;
    if (s->count++ == 0) s->first = key;
    if (s->count % few_pairs == 0) tasker_json_pause(s->writer);
    return (s->kinds == symbols || s->kinds == strings) ? ST_CONTINUE : ST_STOP;
}

/* Whether the keys are distinct as names. Two Strings with the same bytes are
 * two keys of a Hash that compares by identity. Such a Hash does not find a copy
 * of its key. */
static bool names_are_distinct(tasker_writer *w, VALUE hash)
{
    key_survey s = {.writer = w, .first = Qnil};
    rb_hash_foreach(hash, look_at_key, (VALUE)&s);
    if (s.count < 2 && s.kinds != others) return true;
    if (s.kinds != strings) return s.kinds == symbols;
    VALUE copy = rb_enc_str_new(RSTRING_PTR(s.first), RSTRING_LEN(s.first), rb_enc_from_index(rb_enc_get_index(s.first)));
    bool found = rb_hash_lookup2(hash, copy, Qundef) != Qundef;
    RB_GC_GUARD(s.first);
    return found;
}

/* Returns the key's name as a String of no subclass, in UTF-8. */
static VALUE name_of(tasker_writer *w, VALUE key)
{
    VALUE name = key;
    if (RB_SYMBOL_P(key)) {
        name = rb_sym2str(key);
    } else if (!RB_TYPE_P(key, T_STRING)) {
        tasker_json_check_digits(w, key);
        name = tasker_json_ask(w, key, id_to_s, 0, NULL);
        if (!RB_TYPE_P(name, T_STRING)) tasker_json_fail(w, "key", key);
    }
    name = tasker_json_utf8(w, name);
    VALUE copy = rb_str_freeze(rb_utf8_str_new(RSTRING_PTR(name), RSTRING_LEN(name)));
    RB_GC_GUARD(name);
    return copy;
}

typedef struct named_pairs {
    tasker_writer *writer;
    VALUE pairs; /* a Hash that no other code can reach */
} named_pairs;

static int name_pair(VALUE key, VALUE value, VALUE arg)
{
    named_pairs *n = (named_pairs *)arg;
    tasker_writer *w = n->writer;
    VALUE name = name_of(w, key);
    if (rb_hash_lookup2(n->pairs, name, Qundef) != Qundef) {
        w->keys[w->depth - 1] = name;
        tasker_json_fail(w, "duplicate", name);
    }
    rb_hash_aset(n->pairs, name, value);
    if (rb_hash_size_num(n->pairs) % few_pairs == 0) tasker_json_pause(w);
    return ST_CONTINUE;
}

static int write_pair(VALUE key, VALUE value, VALUE arg)
{
    tasker_writer *w = (tasker_writer *)arg;
    w->keys[w->depth - 1] = key;
    if (!w->first) tasker_json_put_char(w->out, ',');
    if (RB_SYMBOL_P(key)) tasker_json_symbol(w, key);
    else tasker_json_string(w, key);
    tasker_json_put_char(w->out, ':');
    tasker_json_value(w, value);
    w->first = false;
    return ST_CONTINUE;
}

static void write_pairs(tasker_writer *w, VALUE hash)
{
    if (!names_are_distinct(w, hash)) {
        named_pairs n = {.writer = w, .pairs = rb_obj_hide(rb_hash_new())};
        rb_hash_foreach(hash, name_pair, (VALUE)&n);
        hash = n.pairs;
    }
    tasker_json_put_char(w->out, '{');
    w->first = true;
    rb_hash_foreach(hash, write_pair, (VALUE)w);
    w->first = false;
    tasker_json_put_char(w->out, '}');
    RB_GC_GUARD(hash);
}

typedef struct held_hash {
    tasker_writer *writer;
    VALUE hash;
} held_hash;

/* Called for the first pair. While the Hash is being walked, Ruby lets nobody
 * add a key. So the keys that were looked at are still distinct when they are
 * written, although there are pauses in between. */
static int write_while_held(VALUE key, VALUE value, VALUE arg)
{
    (void)key;
    (void)value;
    held_hash *held = (held_hash *)arg;
    write_pairs(held->writer, held->hash);
    return ST_STOP;
}

void tasker_json_hash(tasker_writer *w, VALUE hash)
{
    TASKER_GVL;
    size_t pairs = rb_hash_size_num(hash);
    tasker_json_enter(w, hash);
    if (pairs < few_pairs) {
        write_pairs(w, hash);
    } else {
        tasker_json_need(w, pairs * 5 + 1); /* a pair is "":0 and a comma at least */
        held_hash held = {.writer = w, .hash = hash};
        rb_hash_foreach(hash, write_while_held, (VALUE)&held);
    }
    w->depth--;
}

void tasker_json_hash_init(void)
{
    TASKER_GVL;
    id_to_s = rb_intern("to_s");
    rb_gc_register_mark_object(string_class = rb_path2class("String"));
}
