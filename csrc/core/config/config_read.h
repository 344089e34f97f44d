/* Typed values from config.json, with errors that name the file, the field, what
 * was expected and what was found; numbers and sizes are as they were where there is
 * one. For config*.c. */
#ifndef ATI_CONFIG_READ_H
#define ATI_CONFIG_READ_H

#include "base/json.h"
#include "config/config.h"

typedef struct {
    const ati_json *json;
    const char *path;         /* for messages */
    ati_json_value root;      /* the object of the text model */
    const ati_family *family; /* once it is known */
    ati_error *error;
} ati_config_reader;

/* Whether object[key] is absent or null. */
bool ati_config_lacks(const ati_config_reader *r, ati_json_value object, const char *key);

/* object[key] as a string without NULs; `otherwise` when absent or null, which is an
 * error where `otherwise` is NULL. *out belongs to the JSON document or is `otherwise`. */
ati_status ati_config_text(const ati_config_reader *r, ati_json_value object, const char *key,
                           const char *otherwise, const char **out);

/* object[key] as an integer from 1 to `most`; `otherwise` when absent or null,
 * which is an error where `otherwise` is 0. */
ati_status ati_config_size(const ati_config_reader *r, ati_json_value object, const char *key,
                           size_t most, size_t otherwise, size_t *out);

/* object[key] as a number from `least` to `most`; `otherwise` when absent, which is
 * an error where `otherwise` is NaN. */
ati_status ati_config_number(const ati_config_reader *r, ati_json_value object, const char *key,
                             double least, double most, double otherwise, double *out);

/* object[key] as true or false; `otherwise` when absent. */
ati_status ati_config_flag(const ati_config_reader *r, ati_json_value object, const char *key,
                           bool otherwise, bool *out);

/* Refuses, by name, a field that changes the computation and that the family, which is
 * known, does not read. */
ati_status ati_config_refuse_active(const ati_config_reader *r);

/* The one quantization that is read: that of experts whose tensors hold all of them,
 * everything else being left as it was. */
bool ati_config_is_mxfp4(const ati_config_reader *r);

/* Fills config->layers, config->window and what experts there are. */
ati_status ati_config_layers(const ati_config_reader *r, ati_config *config);

/* Fills config->n_ropes and config->ropes, whose head_dim and max_position_embeddings
 * are known. */
ati_status ati_config_ropes(const ati_config_reader *r, ati_config *config);

#endif
