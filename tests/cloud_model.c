/* A small classifier of three clouds of points, interpreted. */
#include "cloud_model.h"

#include "compiler/interp/interp.h"
#include "nadir/nn.h"

#include <check.h>

static nd_module *build(double rate)
{
    nd_module *m = nd_module_create("classes");
    nd_value *x = nd_input(m, "x", ND_F32, ND_SHAPE(nd_dim(m, "B", 4), 2)),
             *y = nd_input(m, "y", ND_I32, ND_SHAPE(nd_dim(m, "B", 4)));
    nd_value *w1 = nd_variable(m, "w1", ND_F32, ND_SHAPE(2, 5), nd_glorot_uniform()),
             *b1 = nd_variable(m, "b1", ND_F32, ND_SHAPE(5), nd_zeros()),
             *w2 = nd_variable(m, "w2", ND_F32, ND_SHAPE(5, 3), nd_glorot_uniform());
    nd_value *logits = nd_matmul(nd_tanh(nd_add(nd_matmul(x, w1), b1)), w2), *loss = nd_cross_entropy(logits, y);
    nd_value *right = nd_eq(nd_cast(nd_argmax(logits, 1), ND_I32), y),
             *accuracy = nd_mean(nd_cast(right, ND_F32), ND_ALL_AXES, false);
    nd_name(loss, "loss");
    nd_name(accuracy, "acc");
    nd_function *step = nd_function(m, "step", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_sgd_momentum(step, loss, 3, ((nd_value *[]){w1, b1, w2}), nd_const(m, rate), nd_const(m, 0.5));
    nd_function(m, "eval", ND_VALUES(x, y), ND_VALUES(loss, accuracy));
    nd_function(m, "predict", ND_VALUES(x), ND_VALUES(logits));
    nd__init_function(m);
    ck_assert_msg(nd_module_status(m) == ND_OK, "%s", nd_module_error(m));
    return m;
}

static nd_module *source; /* of the model under test: what the interpreter's own data does not keep */

static nd_program *interpret(void *self, const char *dimension, int64_t value)
{
    (void)self, (void)dimension;
    static nd_program_dimension bound_to[100];
    ck_assert(value >= 0 && value < 100);
    bound_to[value] = (nd_program_dimension){"B", value};
    nd_program_info info;
    nd_module *bound = nd__module_copy(source, &value);
    if (!bound || !nd__interpreter_info(bound, &info))
        return NULL;
    info.specialize = interpret;
    info.dimensions = &bound_to[value];
    info.dimension_count = 1;
    nd_program *p = nd_program_create(&info);
    if (!p)
        info.destroy(info.self);
    return p;
}

cloud_model make_cloud_model(double rate)
{
    cloud_model m = {source = build(rate), NULL};
    m.program = interpret(NULL, "B", 4);
    ck_assert_int_eq(nd_program_status(m.program), ND_OK);
    return m;
}

void release_cloud_model(cloud_model *m)
{
    nd_program_destroy(m->program);
    nd_module_destroy(m->module);
}

nd_dataset *cloud_dataset(int64_t rows, unsigned seed)
{
    nd_dataset *d = nd_dataset_create();
    nd_tensor *x = nd_tensor_zeros(ND_F32, ND_SHAPE(rows, 2)), *y = nd_tensor_zeros(ND_I32, ND_SHAPE(rows));
    for (int64_t i = 0; i < rows; i++) {
        for (int k = 0; k < 2; k++) {
            seed = seed * 1103515245 + 12345;
            nd_tensor_set(x, 2 * i + k, (double)(seed >> 16 & 1023) / 1024 + (i % 3 == k + 1 ? 2 : 0));
        }
        nd_tensor_set_i64(y, i, i % 3);
    }
    nd_dataset_add(d, "x", x);
    nd_dataset_add(d, "y", y);
    nd_tensor_destroy(x);
    nd_tensor_destroy(y);
    return d;
}

void same_states(nd_program *p, nd_state *a, nd_state *b)
{
    for (int i = 0; i < nd_program_variable_count(p); i++) {
        const char *name = nd_program_variable(p, i).name;
        ck_assert_msg(nd_tensor_same_bits(nd_state_tensor(a, name), nd_state_tensor(b, name)), "%s differs", name);
    }
}
