/* Using a model: predictions for a data set, and how many of them are right. */
#include "nadir/train.h"

#include "runtime/dataset.h"
#include "runtime/feed.h"
#include "runtime/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Memory for the output of all rows; a failed tensor where the function has none of that kind. */
static nd_tensor *make_result(const nd__feed *f, const char *function, int64_t rows)
{
    if (f->output_count == 0)
        return nd__tensor_failed(ND_ERR_ARGUMENT, "%s: the function has no output", function);
    const nd_tensor *first = NULL;
    for (int size = 0; size < ND__SIZES; size++) {
        if (f->rows[size] == 0)
            continue;
        const nd_tensor *output = f->outputs[size][0];
        char type[ND__TYPE_TEXT];
        if (output->shape.rank == 0 || output->shape.dims[0] != f->rows[size])
            return nd__tensor_failed(
                ND_ERR_ARGUMENT, "%s: output 1 is %s for %lld rows, but a prediction has as many rows as the batch",
                function, nd__type_text(type, sizeof type, output->dtype, output->shape), (long long)f->rows[size]);
        first = first ? first : output;
    }
    nd_shape shape = first->shape;
    shape.dims[0] = rows;
    return nd_tensor_zeros(first->dtype, shape);
}

nd_tensor *nd_predict(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                      const nd_predict_options *options)
{
    nd__feed f;
    nd__message message = {ND_OK, NULL};
    static const nd_predict_options defaults = {0};
    options = options ? options : &defaults;
    const nd__feed_options fed = {
        .function = function, .batch = options->batch, .dimension = options->dimension, .parallel = options->parallel};
    nd_tensor *result;
    if (nd__feed_open(&f, program, state, dataset, &fed, &message) == ND_OK) {
        result = make_result(&f, function, dataset->rows);
        int64_t steps = nd_batches_per_epoch(f.batches);
        unsigned char *to = nd_tensor_data(result);
        for (int64_t step = 0; step < steps && nd_tensor_status(result) == ND_OK; step++) {
            int size = nd__feed_gather(&f, step);
            nd_status status = nd_run(f.calls[size]);
            if (status == ND_OK) {
                size_t bytes = nd_tensor_bytes(f.outputs[size][0]);
                memcpy(to, f.outputs[size][0]->data, bytes);
                to += bytes;
            } else {
                nd_tensor_destroy(result);
                result = nd__tensor_failed(status, "%s", nd_call_error(f.calls[size]));
            }
        }
        nd__feed_close(&f);
    } else
        result = nd__tensor_failed(message.status, "%s", nd__message_text(&message));
    nd__message_clear(&message);
    return result;
}

/* The place of the largest number of a row; a NaN counts as larger than all. */
static int64_t largest(const nd_tensor *t, int64_t row, int64_t columns)
{
    int64_t place = 0;
    double most = nd_tensor_get(t, row * columns);
    for (int64_t i = 1; i < columns && !isnan(most); i++) {
        double value = nd_tensor_get(t, row * columns + i);
        if (value > most || isnan(value)) {
            most = value;
            place = i;
        }
    }
    return place;
}

static nd_status check_predictions(nd_dataset *dataset, const char *function, const nd_tensor *predictions,
                                   const char *labels, const nd_tensor *right)
{
    nd__message *message = &dataset->message;
    char type[ND__TYPE_TEXT];
    if (!right)
        return nd__message_set(message, ND_ERR_ARGUMENT, "there is no array \"%s\"", labels ? labels : "(null)");
    if (!nd_dtype_is_integer(right->dtype) || right->count != dataset->rows)
        return nd__message_set(message, ND_ERR_ARGUMENT, "the labels \"%s\" are %s, not one integer for each row",
                               labels, nd__type_text(type, sizeof type, right->dtype, right->shape));
    if (nd_tensor_status(predictions) != ND_OK)
        return nd__message_set(message, nd_tensor_status(predictions), "%s", nd_tensor_error(predictions));
    if (predictions->shape.rank != 2 || predictions->shape.dims[1] == 0)
        return nd__message_set(message, ND_ERR_ARGUMENT, "%s: the predictions are %s, not [rows, classes]", function,
                               nd__type_text(type, sizeof type, predictions->dtype, predictions->shape));
    return ND_OK;
}

nd_status nd_accuracy(nd_program *program, const char *function, nd_state *state, nd_dataset *dataset,
                      const nd_predict_options *options, const char *labels, double *accuracy)
{
    if (nd_dataset_status(dataset) != ND_OK)
        return nd_dataset_status(dataset);
    if (!accuracy)
        return nd__message_set(&dataset->message, ND_ERR_ARGUMENT, "the place for the accuracy is NULL");
    *accuracy = NAN;
    nd_tensor *predictions = nd_predict(program, function, state, dataset, options);
    const nd_tensor *right = nd_dataset_array(dataset, labels);
    nd_status status = check_predictions(dataset, function, predictions, labels, right);
    if (status == ND_OK) {
        int64_t hits = 0;
        for (int64_t row = 0; row < dataset->rows; row++)
            hits += largest(predictions, row, predictions->shape.dims[1]) == nd_tensor_get_i64(right, row);
        *accuracy = (double)hits / (double)dataset->rows;
    }
    nd_tensor_destroy(predictions);
    return status;
}
