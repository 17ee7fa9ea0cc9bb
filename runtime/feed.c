/* Functions over data sets. */
#include "runtime/feed.h"

#include "runtime/dataset.h"
#include "runtime/program.h"
#include "runtime/text.h"

#include <stdlib.h>

/* What is known while a feed is opened. */
typedef struct opening {
    nd__feed *feed;
    nd_program *program;
    nd_state *state;
    const nd__feed_options *options;
    const char *dimension;
    int function;
    nd__message *message;
} opening;

/* -- arrays for inputs -------------------------------------------------------------------------------------------- */

static nd_status fail_without_array(const opening *o, const nd_dataset *dataset, int input)
{
    nd__text list = {0};
    for (int i = 0; i < dataset->count; i++)
        nd__text_add(&list, "%s\"%s\"", i ? ", " : "", dataset->arrays[i].name);
    nd__message_set(o->message, ND_ERR_ARGUMENT, "%s: input %d \"%s\": the data set has no array of that name, but %s",
                    o->options->function, input + 1, nd_program_input(o->program, o->function, input).name,
                    list.data ? list.data : "none");
    nd__text_release(&list);
    return o->message->status;
}

static nd_status take_arrays(opening *o, const nd_dataset *dataset)
{
    nd_dataset *arrays = o->feed->arrays = nd_dataset_create();
    for (int i = 0; i < nd_program_input_count(o->program, o->function); i++) {
        const char *name = nd_program_input(o->program, o->function, i).name;
        const nd_tensor *array = nd_dataset_array(dataset, name);
        if (!array)
            return fail_without_array(o, dataset, i);
        if (nd_dataset_add(arrays, name, array) != ND_OK)
            break;
    }
    if (nd_dataset_status(arrays) != ND_OK)
        return nd__message_set(o->message, nd_dataset_status(arrays), "%s: %s", o->options->function,
                               nd_dataset_error(arrays));
    arrays->rows = dataset->rows; /* also where the function has no inputs */
    return ND_OK;
}

/* -- calls -------------------------------------------------------------------------------------------------------- */

/* The program for batches of so many rows; NULL, and the message. */
static nd_program *program_for(opening *o, int64_t rows)
{
    if (nd_program_has_dimension(o->program, o->dimension, NULL)) {
        nd__message message = {0};
        nd_program *p = nd__program_specialize(o->program, o->dimension, rows, &message);
        if (!p)
            nd__message_set(o->message, message.status, "%s: %s", o->options->function, nd__message_text(&message));
        nd__message_clear(&message);
        return p;
    }
    nd_port first = nd_program_input(o->program, o->function, 0);
    if (nd_program_input_count(o->program, o->function) == 0 || (first.shape.rank > 0 && first.shape.dims[0] == rows))
        return o->program;
    char type[ND__TYPE_TEXT];
    nd__message_set(o->message, ND_ERR_ARGUMENT,
                    "%s: the program has no dimension \"%s\", so that input 1 \"%s\" is always %s: %lld rows in "
                    "batches of %lld leave a batch of %lld",
                    o->options->function, o->dimension, first.name,
                    nd__type_text(type, sizeof type, first.dtype, first.shape),
                    (long long)nd_dataset_rows(o->feed->arrays), (long long)o->feed->batch, (long long)rows);
    return NULL;
}

/* An array whose rows are other ones than the input's: said in words of the data set, before nd_bind says it in words
 * of the batch. */
static nd_status check_rows(opening *o, const nd_program *program, int64_t rows)
{
    for (int i = 0; i < nd_program_input_count(program, o->function); i++) {
        nd_port port = nd_program_input(program, o->function, i);
        const nd_tensor *array = nd_dataset_array(o->feed->arrays, port.name);
        nd_shape expected = port.shape, shape = nd_tensor_shape(array);
        bool same = port.dtype == nd_tensor_dtype(array) && expected.rank == shape.rank && expected.dims[0] == rows;
        for (int axis = 1; same && axis < shape.rank; axis++)
            same = expected.dims[axis] == shape.dims[axis];
        char input[ND__TYPE_TEXT], data[ND__TYPE_TEXT];
        if (!same)
            return nd__message_set(o->message, ND_ERR_ARGUMENT,
                                   "%s: input %d \"%s\": %s for batches of %lld rows does not fit the array %s of the "
                                   "data set",
                                   o->options->function, i + 1, port.name,
                                   nd__type_text(input, sizeof input, port.dtype, expected), (long long)rows,
                                   nd__type_text(data, sizeof data, nd_tensor_dtype(array), shape));
    }
    return ND_OK;
}

static nd_status bind(opening *o, int size)
{
    nd__feed *f = o->feed;
    nd_status status = ND_ERR_MEMORY;
    nd_program *program = program_for(o, f->rows[size]);
    if (!program)
        return o->message->status;
    if (check_rows(o, program, f->rows[size]) != ND_OK)
        return o->message->status;
    int inputs = nd_program_input_count(program, o->function);
    nd_tensor **in = calloc((size_t)inputs + 1, sizeof *in);
    f->outputs[size] = calloc((size_t)f->output_count + 1, sizeof *f->outputs[size]);
    if (!in || !f->outputs[size])
        goto done;
    for (int i = 0; i < inputs; i++)
        in[i] = nd_batches_tensor(f->batches, nd_program_input(program, o->function, i).name, f->rows[size]);
    for (int i = 0; i < f->output_count; i++) {
        nd_port port = nd_program_output(program, o->function, i);
        f->outputs[size][i] = nd_tensor_zeros(port.dtype, port.shape);
        if (nd_tensor_status(f->outputs[size][i]) != ND_OK)
            goto done;
    }
    f->calls[size] = nd__bind(program, o->options->function, o->state, (nd_tensors){(size_t)inputs, in},
                              (nd_tensors){(size_t)f->output_count, f->outputs[size]}, o->message);
    status = f->calls[size] ? ND_OK : o->message->status;
    if (status == ND_OK)
        status = nd_call_set_parallel(f->calls[size], o->options->parallel);
    if (f->calls[size] && status != ND_OK)
        nd__message_set(o->message, status, "%s", nd_call_error(f->calls[size]));
done:
    if (status == ND_ERR_MEMORY)
        nd__message_set(o->message, status, "%s: out of memory for batches of %lld rows", o->options->function,
                        (long long)f->rows[size]);
    free(in);
    return status;
}

/* -- opening and closing ------------------------------------------------------------------------------------------ */

static nd_status open_feed(opening *o, const nd_dataset *dataset)
{
    nd__feed *f = o->feed;
    const nd__feed_options *options = o->options;
    /* The data's error first: what is built for its shapes fails because of it. */
    if (nd_dataset_status(dataset) != ND_OK)
        return nd__message_set(o->message, nd_dataset_status(dataset), "%s", nd_dataset_error(dataset));
    if (nd_program_status(o->program) != ND_OK)
        return nd__message_set(o->message, nd_program_status(o->program), "%s", nd_program_error(o->program));
    o->function = nd_program_function_index(o->program, options->function);
    if (o->function < 0)
        return nd__message_set(o->message, ND_ERR_ARGUMENT, "the program has no function \"%s\"",
                               options->function ? options->function : "(null)");
    f->output_count = nd_program_output_count(o->program, o->function);
    if (take_arrays(o, dataset) != ND_OK)
        return o->message->status;
    f->batch = options->batch;
    if (f->batch == 0) {
        nd_port first = nd_program_input(o->program, o->function, 0);
        bool fixed = !nd_program_has_dimension(o->program, o->dimension, NULL) && first.shape.rank > 0;
        f->batch = fixed ? first.shape.dims[0] : dataset->rows > 0 ? dataset->rows : 1;
    }
    f->batches = nd_batches_create(f->arrays, f->batch, options->seed);
    if (!f->batches)
        return nd__message_set(o->message, f->arrays->message.status, "%s", nd_dataset_error(f->arrays));
    f->rows[ND__WHOLE] = dataset->rows >= f->batch ? f->batch : 0;
    f->rows[ND__LAST] = dataset->rows % f->batch;
    for (int size = 0; size < ND__SIZES; size++)
        if (f->rows[size] > 0 && bind(o, size) != ND_OK)
            return o->message->status;
    return ND_OK;
}

nd_status nd__feed_open(nd__feed *feed, nd_program *program, nd_state *state, const nd_dataset *dataset,
                        const nd__feed_options *options, nd__message *message)
{
    *feed = (nd__feed){0};
    opening o = {.feed = feed,
                 .program = program,
                 .state = state,
                 .options = options,
                 .dimension = options->dimension ? options->dimension : "B",
                 .message = message};
    nd_status status = open_feed(&o, dataset);
    if (status != ND_OK)
        nd__feed_close(feed);
    return status;
}

void nd__feed_close(nd__feed *feed)
{
    for (int size = 0; size < ND__SIZES; size++) {
        nd_call_destroy(feed->calls[size]);
        for (int i = 0; feed->outputs[size] && i < feed->output_count; i++)
            nd_tensor_destroy(feed->outputs[size][i]);
        free(feed->outputs[size]);
    }
    nd_batches_destroy(feed->batches);
    nd_dataset_destroy(feed->arrays);
    *feed = (nd__feed){0};
}

int nd__feed_gather(nd__feed *feed, int64_t step)
{
    return nd_batches_go(feed->batches, step) == feed->rows[ND__WHOLE] ? ND__WHOLE : ND__LAST;
}
