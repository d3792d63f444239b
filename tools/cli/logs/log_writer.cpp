#include "log_writer.hpp"

#include "zeek_values.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace bzmq::cli {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{256} << 10;
constexpr std::size_t logs_max = 256;
constexpr std::size_t columns_max = 1024;
constexpr std::string_view lock_name = ".bzmq-logger.lock";
constexpr std::string_view rejected_name = "rejected";

unexpected failed(const std::string& path) {
    return fail(ec::cannot_write_file, path + ": " + std::strerror(errno));
}

/// A file's name that no log's name can lead out of the folder, or into another log's.
std::string file_name(std::string_view log) {
    constexpr std::size_t bytes_max = 80;
    std::string out;
    if (log == rejected_name) {  // Taken by what is no record.
        fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(log.front()));
        log.remove_prefix(1);
    }
    for (const char c : log.substr(0, bytes_max)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                           || c == '_' || c == '-';
        if (plain) {
            out += c;
        } else {
            fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
        }
    }
    if (log.size() > bytes_max) {  // Cut: told apart by what is behind.
        fmt::format_to(std::back_inserter(out), "%{:016x}", std::hash<std::string_view>{}(log));
    }
    return out.empty() ? "%" : out;
}

/// NAME.log rotated away, opened at `when`: a name that is not taken.
std::string rotated_name(const std::string& path, timestamp when) {
    const auto stem = path.substr(0, path.size() - std::string_view{".log"}.size());
    for (unsigned again = 0;; ++again) {
        const auto name = again == 0 ? fmt::format("{}.{}.log", stem, log_time(when))
                                     : fmt::format("{}.{}-{}.log", stem, log_time(when), again);
        if (::access(name.c_str(), F_OK) != 0 && ::access((name + ".gz").c_str(), F_OK) != 0) {
            return name;
        }
    }
}

/// What `rotated_name` gives: NAME.DATE.log, perhaps with a number behind the date.
bool is_rotated_name(std::string_view name) {
    constexpr std::string_view suffix = ".log";
    constexpr std::string_view form = "0000-00-00-00-00-00";
    if (!name.ends_with(suffix)) {
        return false;
    }
    name.remove_suffix(suffix.size());
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || name.size() - dot - 1 < form.size()) {
        return false;
    }
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    auto date = name.substr(dot + 1);
    for (std::size_t i = 0; i < form.size(); ++i) {
        if (form[i] == '0' ? !is_digit(date[i]) : date[i] != form[i]) {
            return false;
        }
    }
    date.remove_prefix(form.size());
    return date.empty()
           || (date.size() > 1 && date[0] == '-'
               && std::all_of(date.begin() + 1, date.end(), is_digit));
}

/// Of a former run that was killed while it packed: half a packed file goes, since its original is
/// there still, and so does an original that is packed. The rotated files that are left to be packed.
std::vector<std::string> tidy(const std::string& folder, const log_writer::reporter& report) {
    std::vector<std::string> out;
    std::error_code code;
    std::vector<std::filesystem::path> files;
    std::filesystem::directory_iterator at{folder, code};
    for (; !code && at != std::filesystem::directory_iterator{}; at.increment(code)) {
        files.push_back(at->path());
    }
    for (const auto& file : files) {
        const auto path = file.string();
        const auto name = file.filename().string();
        constexpr std::string_view part = ".gz.part";
        if (name.ends_with(part)
            && is_rotated_name(std::string_view{name}.substr(0, name.size() - part.size()))) {
            ::unlink(path.c_str());
            report(path + ": removed; a former run broke off in it");
        } else if (is_rotated_name(name)) {
            if (::access((path + ".gz").c_str(), F_OK) == 0) {
                ::unlink(path.c_str());
            } else {
                out.push_back(path);
            }
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

/// How many bytes stand behind the last line end, read from the end on.
expected<std::uint64_t> torn_bytes(int fd, std::uint64_t size, const std::string& path) {
    std::array<char, 4096> block{};
    auto at = size;
    while (at > 0) {
        const auto want = std::min<std::uint64_t>(at, block.size());
        const auto got = ::pread(fd, block.data(), want, static_cast<off_t>(at - want));
        if (got != static_cast<ssize_t>(want)) {
            return failed(path);
        }
        const auto end = std::string_view{block.data(), want}.rfind('\n');
        if (end != std::string_view::npos) {
            return size - (at - want + end + 1);
        }
        at -= want;
    }
    return size;
}

}  // namespace

struct log_writer::log {
    log_schema schema;
    std::vector<std::size_t> order;  // Where each column of a record goes,
    log_schema order_of;             // of a record with this schema.
    std::set<std::string> changed;   // Columns whose type was another one before.
    log_file file;
    timestamp opened;
    timestamp last_used;
    bool open = false;
    bool ended = false;  // Its footer is written.
};

expected<std::unique_ptr<log_writer>> log_writer::open(log_writer_options how, reporter report) {
    std::error_code code;
    std::filesystem::create_directories(how.folder, code);
    if (code) {
        return fail(ec::cannot_open_file, how.folder + ": " + code.message());
    }
    const auto lock = how.folder + '/' + std::string{lock_name};
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail(ec::cannot_open_file, lock + ": " + std::strerror(errno));
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ::close(fd);
        return fail(ec::cannot_open_file, how.folder + ": another logger writes to this folder");
    }
    return std::unique_ptr<log_writer>{new log_writer{std::move(how), std::move(report), fd}};
}

log_writer::log_writer(log_writer_options how, reporter report, int lock)
    : how_(std::move(how)), report_(std::move(report)), lock_(lock) {
    auto left = tidy(how_.folder, report_);
    if (how_.gzip) {
        packer_ = std::make_unique<log_packer>(report_);
        for (auto& path : left) {
            packer_->add(std::move(path));
        }
    }
}

log_writer::~log_writer() {
    packer_.reset();  // Has work in the folder still, which the lock is for.
    ::close(lock_);
}

std::string log_writer::path_of(std::string_view name) const {
    return how_.folder + '/' + file_name(name) + ".log";
}

std::uint64_t log_writer::bytes_waiting() const noexcept {
    std::uint64_t out = 0;
    for (const auto& [name, one] : logs_) {
        out += one.file.bytes_waiting();
    }
    return out + (rejected_ ? rejected_->bytes_waiting() : 0);
}

/// Rotates away what a former run left under this name.
expected<void> log_writer::make_way(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? expected<void>{} : failed(path);
    }
    struct stat info {};
    expected<void> out;
    if (::fstat(fd, &info) != 0) {
        out = failed(path);
    } else {
        const auto size = static_cast<std::uint64_t>(info.st_size);
        const auto torn = torn_bytes(fd, size, path);
        if (!torn) {
            out = tl::unexpected{torn.error()};
        } else if (*torn > 0) {
            if (::ftruncate(fd, static_cast<off_t>(size - *torn)) != 0) {
                out = failed(path);
            } else {
                report_(fmt::format("{}: cut {} bytes of a line that a former run broke off in",
                                    path, *torn));
            }
        }
        if (out && ::fsync(fd) != 0) {
            out = failed(path);
        }
    }
    ::close(fd);
    if (!out) {
        return out;
    }
    const timestamp changed{std::chrono::seconds{info.st_mtim.tv_sec}};
    const auto name = rotated_name(path, changed);
    if (auto renamed = rename_durably(path, name); !renamed) {
        return renamed;
    }
    if (packer_) {
        packer_->add(name);
    }
    return {};
}

expected<void> log_writer::start(log& one, const log_schema& schema, timestamp now) {
    const auto path = path_of(schema.path);
    if (auto way = make_way(path); !way) {
        return way;
    }
    auto file = log_file::create(path);
    if (!file) {
        return tl::unexpected{file.error()};
    }
    one.file = std::move(*file);
    one.schema = schema;
    one.order_of = {};
    one.opened = now;
    one.open = true;
    one.ended = false;
    if (how_.format == log_format::tsv) {
        append_tsv_header(one.file.buffer(), schema, now);
    }
    return {};
}

expected<void> log_writer::finish(log& one, timestamp now) {
    if (how_.format == log_format::tsv && !one.ended) {
        append_tsv_footer(one.file.buffer(), now);
    }
    one.ended = true;
    return one.file.sync();
}

expected<void> log_writer::rotate(log& one, timestamp now) {
    if (!one.open) {
        return {};
    }
    if (auto finished = finish(one, now); !finished) {
        return finished;
    }
    const auto name = rotated_name(one.file.path(), one.opened);
    if (auto renamed = rename_durably(one.file.path(), name); !renamed) {
        return renamed;
    }
    one.file = {};
    one.open = false;
    if (packer_) {
        packer_->add(name);
    }
    return {};
}

bool log_writer::is_due(const log& one, timestamp now) const {
    if (!one.open) {
        return false;
    }
    if (how_.rotate_bytes > 0 && one.file.bytes() >= how_.rotate_bytes) {
        return true;
    }
    const auto every = how_.rotate_every;
    return every.count() > 0
           && one.opened.time_since_epoch() / every != now.time_since_epoch() / every;
}

namespace {

/// The type whose fields may have values of both; empty where there is none.
std::string wider(std::string_view a, std::string_view b) {
    static constexpr std::array<std::string_view, 3> numbers{"count", "int", "double"};
    if (a == b) {
        return std::string{a};
    }
    const auto one = parts_of(a);
    const auto other = parts_of(b);
    if (one.list != other.list) {
        return {};
    }
    if (!one.list.empty()) {
        // Of an empty list nobody knows the type.
        const auto element = wider(one.element, other.element);
        return fmt::format("{}[{}]", one.list, element.empty() ? "string" : element);
    }
    const auto* const first = std::find(numbers.begin(), numbers.end(), a);
    const auto* const second = std::find(numbers.begin(), numbers.end(), b);
    const bool both = first != numbers.end() && second != numbers.end();
    return both ? std::string{*std::max(first, second)} : std::string{};
}

/// Where each of `columns` stands in `among`; nothing where one is missing or of a type that has no
/// place there. A string's has all that `changed`.
std::optional<std::vector<std::size_t>> places(const std::vector<log_column>& columns,
                                               const std::vector<log_column>& among,
                                               const std::set<std::string>& changed) {
    std::vector<std::size_t> out;
    for (const auto& column : columns) {
        const auto found = std::find_if(
            among.begin(), among.end(),
            [&](const log_column& other) { return other.name == column.name; });
        if (found == among.end()
            || (wider(found->type, column.type) != found->type
                && !(found->type == "string" && changed.contains(column.name)))) {
            return std::nullopt;
        }
        out.push_back(static_cast<std::size_t>(found - among.begin()));
    }
    return out;
}

/// The columns of both, so that logs whose records differ in what is set (JSON leaves out what is
/// not) or in their types soon have a header for all of them. A field that `changed` its type before
/// becomes a string.
log_schema joined(const log_schema& before, const log_schema& next, std::set<std::string>& changed) {
    auto out = before;
    for (const auto& column : next.columns) {
        const auto same = [&](const log_column& other) { return other.name == column.name; };
        const auto found = std::find_if(out.columns.begin(), out.columns.end(), same);
        if (found == out.columns.end()) {
            out.columns.push_back(column);
        } else if (auto both = wider(found->type, column.type); !both.empty()) {
            found->type = std::move(both);
        } else if (found->type != "string" || !changed.contains(column.name)) {
            found->type = changed.insert(column.name).second ? column.type : "string";
        }
    }
    if (out.columns.size() > columns_max) {  // Names without an end: not all in each header.
        changed.clear();
        return next;
    }
    return out;
}

/// A number without a sign that is too large for one with a sign.
bool is_too_large(const data& value, std::string_view type) {
    const auto* const number = get_if<count>(&value);
    return number != nullptr && type == "int"
           && *number > static_cast<count>(std::numeric_limits<integer>::max());
}

}  // namespace

expected<log_writer::log*> log_writer::log_for(const log_schema& schema, timestamp now) {
    auto& one = logs_[schema.path];
    one.last_used = now;
    if (is_due(one, now) || one.ended) {
        if (auto rotated = rotate(one, now); !rotated) {
            return tl::unexpected{rotated.error()};
        }
    }
    if (one.open && how_.format == log_format::tsv && one.order_of != schema) {
        auto order = places(schema.columns, one.schema.columns, one.changed);
        if (order) {
            one.order = std::move(*order);
            one.order_of = schema;
        } else if (auto rotated = rotate(one, now); !rotated) {
            return tl::unexpected{rotated.error()};
        }
    }
    if (!one.open) {
        const auto wanted =
            how_.format == log_format::tsv ? joined(one.schema, schema, one.changed) : schema;
        if (auto started = start(one, {schema.path, wanted.columns}, now); !started) {
            return tl::unexpected{started.error()};
        }
        if (how_.format == log_format::tsv) {
            one.order = *places(schema.columns, one.schema.columns, one.changed);
            one.order_of = schema;
        }
    }
    return &one;
}

expected<void> log_writer::write(const log_schema& schema, std::span<const data> values,
                                 timestamp now) {
    if (values.size() != schema.columns.size()) {
        return fail(ec::invalid_data, fmt::format("a record of {} has {} values for {} fields",
                                                  schema.path, values.size(),
                                                  schema.columns.size()));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto& [name, type] = schema.columns[i];
        if (!fits(values[i], type)) {  // It would stand under a type that no reader takes it for.
            return fail(ec::invalid_data,
                        fmt::format("{} of {}: expected {}, got {} {}", name, schema.path, type,
                                    type_name(values[i]), printable(to_string(values[i]))));
        }
    }
    const auto found = log_for(schema, now);
    if (!found) {
        return tl::unexpected{found.error()};
    }
    auto& one = **found;
    if (how_.format == log_format::json) {
        append_json_record(one.file.buffer(), schema, values, how_.times);
    } else if (one.order_of == one.schema) {
        append_tsv_record(one.file.buffer(), values);
    } else {
        vector row(one.schema.columns.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto& column = one.schema.columns[one.order[i]];
            if (is_too_large(values[i], column.type)) {
                return fail(ec::invalid_data, fmt::format("{} of {} is too large for an int",
                                                          column.name, schema.path));
            }
            row[one.order[i]] = values[i];
        }
        append_tsv_record(one.file.buffer(), row);
    }
    ++records_;
    if (one.file.bytes_waiting() >= buffer_bytes) {
        // What fails here is still in the buffer, and told at the next flush.
        static_cast<void>(one.file.flush());
    }
    return {};
}

expected<void> log_writer::write_rejected(std::string_view line) {
    if (!rejected_) {
        const auto path = fmt::format("{}/{}.log", how_.folder, rejected_name);
        if (auto way = make_way(path); !way) {
            return way;
        }
        auto file = log_file::create(path);
        if (!file) {
            return tl::unexpected{file.error()};
        }
        rejected_ = std::move(*file);
    }
    auto& buffer = rejected_->buffer();
    buffer += line;
    buffer += '\n';
    return {};
}

expected<void> log_writer::rotate_rejected(timestamp now) {
    if (!rejected_ || how_.rotate_bytes == 0 || rejected_->bytes() < how_.rotate_bytes) {
        return {};
    }
    if (auto synced = rejected_->sync(); !synced) {
        return synced;
    }
    const auto name = rotated_name(rejected_->path(), now);
    if (auto renamed = rename_durably(rejected_->path(), name); !renamed) {
        return renamed;
    }
    rejected_.reset();
    if (packer_) {
        packer_->add(name);
    }
    return {};
}

expected<void> log_writer::flush() {
    expected<void> out;
    const auto keep_first = [&](expected<void> done) {
        if (out && !done) {
            out = std::move(done);
        }
    };
    for (auto& [name, one] : logs_) {
        if (one.open) {
            keep_first(one.file.flush());
        }
    }
    if (rejected_) {
        keep_first(rejected_->flush());
    }
    return out;
}

expected<void> log_writer::rotate(timestamp now) {
    for (auto& [name, one] : logs_) {
        if (is_due(one, now)) {
            if (auto rotated = rotate(one, now); !rotated) {
                return rotated;
            }
        }
    }
    if (auto rotated = rotate_rejected(now); !rotated) {
        return rotated;
    }
    // Names come from the network: there may be any number of them, but not so many open files.
    while (logs_.size() > logs_max) {
        const auto oldest = std::min_element(
            logs_.begin(), logs_.end(),
            [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
        if (auto rotated = rotate(oldest->second, now); !rotated) {
            return rotated;
        }
        logs_.erase(oldest);
    }
    return {};
}

expected<void> log_writer::close(timestamp now) {
    for (auto& [name, one] : logs_) {
        if (one.open) {
            if (auto finished = finish(one, now); !finished) {
                return finished;
            }
        }
    }
    if (rejected_) {
        if (auto synced = rejected_->sync(); !synced) {
            return synced;
        }
    }
    logs_.clear();
    rejected_.reset();
    return {};
}

}  // namespace bzmq::cli
