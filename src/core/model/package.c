#include "core/model/package.h"

#include "base/buf.h"
#include "core/model/private.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zip.h>

#define DEVICE_FILE  "profile/devicetype-capability.json"
#define SERVICE_FILE "/profile/servicetype-capability.json"

struct package {
    struct arena *arena;
    const struct model_package_limits *limits;
    zip_t *zip;
    zip_int64_t count;
    struct str *names;      /* by index in the archive */
    struct str *folders;    /* below service/, sorted, each once */
    size_t folder_count;
    int64_t declared_bytes, content_bytes;
    const char *problem; /* the first one */
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct package *package,
                                                         const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!package->problem)
        package->problem = arena_dup0(package->arena, str_of(text));
    return false;
}

/* ---- names ---- */

static bool has_bad_segment(struct str name)
{
    struct str rest = name;

    if (str_ends_with(rest, STR("/")))
        rest.len--; /* a folder */
    while (rest.p) {
        struct str segment = str_split(rest, '/', &rest);

        if (!segment.len || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return true;
    }
    return false;
}

static bool check_name(struct package *package, struct str name)
{
    if (!name.len || !str_is_utf8(name) || !str_is_printable(name))
        return refuse(package, "a file has a name that is not printable");
    if (name.p[0] == '/' || (name.len > 1 && name.p[1] == ':'))
        return refuse(package, "%.*s: absolute paths are not allowed", STR_ARG(name));
    if (memchr(name.p, '\\', name.len))
        return refuse(package, "%.*s: \\ is not allowed in names", STR_ARG(name));
    if (has_bad_segment(name))
        return refuse(package, "%.*s: empty parts, . and .. are not allowed in paths",
                      STR_ARG(name));
    if (!str_starts_with(name, STR("profile/")) && !str_starts_with(name, STR("service/")))
        return refuse(package, "%.*s: only the folders profile and service may stand at the top",
                      STR_ARG(name));
    return true;
}

/* Links, devices and their like; what was packed elsewhere than on Unix has no such. */
static bool is_plain(const struct package *package, zip_uint64_t index)
{
    zip_uint8_t system;
    zip_uint32_t attributes;
    mode_t mode;

    if (zip_file_get_external_attributes(package->zip, index, 0, &system, &attributes) < 0 ||
        system != ZIP_OPSYS_UNIX)
        return true;
    mode = (mode_t)(attributes >> 16) & S_IFMT;
    return mode == 0 || mode == S_IFREG || mode == S_IFDIR;
}

static bool check_entry(struct package *package, zip_uint64_t index)
{
    const struct model_package_limits *limits = package->limits;
    zip_stat_t facts;
    struct str name;

    if (zip_stat_index(package->zip, index, 0, &facts) < 0 || !(facts.valid & ZIP_STAT_NAME) ||
        !(facts.valid & ZIP_STAT_SIZE) || !(facts.valid & ZIP_STAT_COMP_METHOD))
        return refuse(package, "the ZIP file is damaged: %s", zip_strerror(package->zip));
    name = arena_str(package->arena, str_of(facts.name));
    package->names[index] = name;
    if (!check_name(package, name))
        return false;
    if (!is_plain(package, index))
        return refuse(package, "%.*s: is a link or no plain file", STR_ARG(name));
    if ((facts.valid & ZIP_STAT_ENCRYPTION_METHOD) && facts.encryption_method != ZIP_EM_NONE)
        return refuse(package, "%.*s: is encrypted", STR_ARG(name));
    if (facts.comp_method != ZIP_CM_STORE && facts.comp_method != ZIP_CM_DEFLATE)
        return refuse(package, "%.*s: is packed by a method other than deflate", STR_ARG(name));
    if (facts.size > (zip_uint64_t)(limits->unpacked_bytes - package->declared_bytes))
        return refuse(package, "%.*s: unpacked, the files are larger than model.unpacked_bytes "
                      "(%lld)", STR_ARG(name), (long long)limits->unpacked_bytes);
    package->declared_bytes += (int64_t)facts.size;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return model_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool check_names_are_single(struct package *package)
{
    struct str *sorted = arena_alloc(package->arena, ((size_t)package->count + 1) *
                                                         sizeof(*sorted));

    memcpy(sorted, package->names, (size_t)package->count * sizeof(*sorted));
    qsort(sorted, (size_t)package->count, sizeof(*sorted), by_text);
    for (zip_int64_t i = 1; i < package->count; i++) {
        if (str_eq(sorted[i], sorted[i - 1]))
            return refuse(package, "%.*s: is there twice", STR_ARG(sorted[i]));
    }
    return true;
}

/* "service/Flow/..." -> "Flow"; STR_NONE for other paths */
static struct str service_folder(struct str name)
{
    struct str rest, folder;

    if (!str_starts_with(name, STR("service/")))
        return STR_NONE;
    folder = str_split(str_n(name.p + 8, name.len - 8), '/', &rest);
    return rest.p ? folder : STR_NONE;
}

static bool list_folders(struct package *package)
{
    struct str *list = arena_alloc(package->arena, ((size_t)package->count + 1) * sizeof(*list));
    size_t n = 0, kept = 0;

    for (zip_int64_t i = 0; i < package->count; i++) {
        struct str folder = service_folder(package->names[i]);

        if (folder.p)
            list[n++] = folder;
        else if (str_starts_with(package->names[i], STR("service/")) &&
                 package->names[i].len > strlen("service/"))
            return refuse(package, "%.*s: service has folders only, one for each serviceType",
                          STR_ARG(package->names[i]));
    }
    if (n)
        qsort(list, n, sizeof(*list), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !str_eq(list[i], list[i - 1]))
            list[kept++] = list[i];
    }
    package->folders = list;
    package->folder_count = kept;
    return true;
}

static bool has_folder(const struct package *package, struct str folder)
{
    for (zip_int64_t i = 0; i < package->count; i++) {
        if (str_starts_with(package->names[i], folder))
            return true;
    }
    return false;
}

static bool check_entries(struct package *package)
{
    package->count = zip_get_num_entries(package->zip, 0);
    if (package->count > package->limits->files)
        return refuse(package, "the ZIP file has %lld files, and may have model.files (%lld)",
                      (long long)package->count, (long long)package->limits->files);
    package->names =
        arena_zalloc(package->arena, ((size_t)package->count + 1) * sizeof(*package->names));
    for (zip_int64_t i = 0; i < package->count; i++) {
        if (!check_entry(package, (zip_uint64_t)i))
            return false;
    }
    if (!has_folder(package, STR("profile/")))
        return refuse(package, "the folder profile is missing");
    if (!has_folder(package, STR("service/")))
        return refuse(package, "the folder service is missing");
    return check_names_are_single(package) && list_folders(package);
}

/* ---- contents ---- */

/* The file's bytes; STR_NONE when it was refused. */
static struct str unpack(struct package *package, const char *name)
{
    int64_t room = package->limits->content_bytes - package->content_bytes;
    zip_stat_t facts;
    zip_file_t *file;
    zip_int64_t got;
    char *bytes;

    if (zip_stat(package->zip, name, 0, &facts) < 0) {
        refuse(package, "%s: is missing", name);
        return STR_NONE;
    }
    if (facts.size > (zip_uint64_t)room) {
        refuse(package, "%s: the capability files are larger than model.content_bytes (%lld)", name,
               (long long)package->limits->content_bytes);
        return STR_NONE;
    }
    file = zip_fopen_index(package->zip, facts.index, 0);
    if (!file) {
        refuse(package, "%s: %s", name, zip_strerror(package->zip));
        return STR_NONE;
    }
    /* One byte more than it says: whoever has that has lied. */
    bytes = arena_alloc(package->arena, facts.size + 1);
    got = zip_fread(file, bytes, facts.size + 1);
    if (got < 0)
        refuse(package, "%s: cannot be unpacked: %s", name, zip_file_strerror(file));
    else if ((zip_uint64_t)got != facts.size)
        refuse(package, "%s: its size is not the one it declares", name);
    zip_fclose(file);
    package->content_bytes += (int64_t)facts.size;
    return package->problem ? STR_NONE : str_n(bytes, (size_t)got);
}

static struct str without_mark(struct str text)
{
    return str_starts_with(text, STR("\xef\xbb\xbf")) ? str_n(text.p + 3, text.len - 3) : text;
}

/* The one element of the array that the file is about; NULL when it was refused. */
static const struct json *read_file(struct package *package, const char *name, const char *key)
{
    struct str text = unpack(package, name);
    const char *error = NULL;
    const struct json *json, *list;

    if (!text.p)
        return NULL;
    json = json_parse(package->arena, without_mark(text), &error);
    if (!json) {
        refuse(package, "%s: %s", name, error);
        return NULL;
    }
    list = json_get(json, key);
    if (!list || list->type != JSON_ARRAY || list->count != 1 ||
        list->first->type != JSON_OBJECT) {
        refuse(package, "%s: %s must be an array of one object", name, key);
        return NULL;
    }
    return list->first;
}

static void write_content(struct package *package, struct json_writer *w)
{
    const struct json *device = read_file(package, DEVICE_FILE, "devices");

    json_object(w);
    json_key(w, "device");
    json_value(w, device);
    json_key(w, "services");
    json_object(w);
    for (size_t i = 0; i < package->folder_count && !package->problem; i++) {
        const char *name = arena_printf(package->arena, "service/%.*s" SERVICE_FILE,
                                        STR_ARG(package->folders[i]));
        const struct json *service = read_file(package, name, "services");

        json_key_str(w, package->folders[i]);
        json_value(w, service);
    }
    json_object_end(w);
    json_object_end(w);
}

/* ---- the whole ---- */

static struct str base_name(struct str path)
{
    const char *slash = path.len ? memrchr(path.p, '/', path.len) : NULL;
    struct str name =
        slash ? str_n(slash + 1, (size_t)(path.p + path.len - slash - 1)) : path;

    if (name.len >= 4 && str_eq_nocase(str_n(name.p + name.len - 4, 4), STR(".zip")))
        name.len -= 4;
    return name;
}

static bool check_file_name(struct package *package, struct str file_name,
                            const struct model *model)
{
    const char *wanted =
        arena_printf(package->arena, "%.*s_%.*s_%.*s", STR_ARG(model->device_type),
                     STR_ARG(model->manufacturer_id), STR_ARG(model->name));
    struct str given = base_name(file_name);

    if (memchr(model->device_type.p, '_', model->device_type.len) ||
        memchr(model->manufacturer_id.p, '_', model->manufacturer_id.len))
        return refuse(package, DEVICE_FILE ": deviceType and manufacturerId must not have a _");
    if (file_name.len && !str_eq(given, str_of(wanted)))
        return refuse(package, "%.*s.zip: the package must be named %s.zip, after its deviceType, "
                      "manufacturerId and model", STR_ARG(given), wanted);
    return true;
}

static zip_t *open_zip(struct package *package, struct str bytes)
{
    zip_error_t error;
    zip_source_t *source;
    zip_t *zip = NULL;

    zip_error_init(&error);
    source = zip_source_buffer_create(bytes.p, bytes.len, 0, &error);
    if (source)
        zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!zip) {
        refuse(package, "this is no ZIP file: %s", zip_error_strerror(&error));
        zip_source_free(source);
    }
    zip_error_fini(&error);
    return zip;
}

struct str model_package_read(struct arena *arena, struct str zip, struct str file_name,
                              const struct model_package_limits *limits, struct model **model,
                              const char **problem)
{
    struct package package = {.arena = arena, .limits = limits};
    struct json_writer *w = json_writer_new();
    struct str content = STR_NONE;

    *model = NULL;
    if ((int64_t)zip.len > limits->package_bytes)
        refuse(&package, "the ZIP file is larger than model.package_bytes (%lld)",
               (long long)limits->package_bytes);
    else if (!zip.len)
        refuse(&package, "this is no ZIP file: it is empty");
    else
        package.zip = open_zip(&package, zip);
    if (package.zip && check_entries(&package))
        write_content(&package, w);
    if (!package.problem)
        content = arena_str(arena, json_writer_text(w));
    if (!package.problem)
        *model = model_parse(arena, content, &package.problem);
    if (*model && (int64_t)model_capabilities_bytes(*model) > limits->unpacked_bytes)
        refuse(&package, DEVICE_FILE ": its services, each with the whole of its type, are larger "
               "than model.unpacked_bytes (%lld)", (long long)limits->unpacked_bytes);
    if (*model && !package.problem)
        check_file_name(&package, file_name, *model);
    if (*model && package.problem) {
        model_release(*model);
        *model = NULL;
    }
    json_writer_free(w);
    if (package.zip)
        zip_discard(package.zip);
    *problem = package.problem;
    return package.problem ? STR_NONE : content;
}
