#include "line_input.hpp"
#include "progress_bar.hpp"
#include "store_command.hpp"
#include "write_window.hpp"
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t write_bytes = std::size_t{1} << 20;

// -- dump -----------------------------------------------------------------------------------------

/// A file that is there as a whole, or not at all: it takes the place, and the mode, of the one that
/// was there, and where PATH is a link, of what that points to. What is no file, such as a pipe or a
/// device, is written to as it is.
class whole_file {
  public:
    explicit whole_file(std::string path) : path_(std::move(path)) {
        struct stat old {};
        const bool is_there = ::stat(path_.c_str(), &old) == 0;
        std::error_code ignored;
        const bool is_link = std::filesystem::is_symlink(path_, ignored);
        if (is_there ? !S_ISREG(old.st_mode) : is_link) {
            open(path_);
            return;
        }
        place_ = is_link ? std::filesystem::canonical(path_).string() : path_;
        part_ = place_ + ".part";
        open(part_);
        if (fd_ >= 0 && is_there && ::fchmod(fd_, old.st_mode & permissions) != 0) {
            errno_ = errno;
        }
    }
    ~whole_file() {
        if (fd_ >= 0) {
            ::close(fd_);
            if (!part_.empty()) {
                ::unlink(part_.c_str());
            }
        }
    }
    whole_file(const whole_file&) = delete;
    whole_file& operator=(const whole_file&) = delete;

    [[nodiscard]] bool write(std::string_view rest) {
        while (errno_ == 0 && !rest.empty()) {
            const auto written = ::write(fd_, rest.data(), rest.size());
            if (written >= 0) {
                rest.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno != EINTR) {
                errno_ = errno;
            }
        }
        return errno_ == 0;
    }
    /// Puts it on disk and in its place.
    [[nodiscard]] bool finish() {
        if (!part_.empty()
            && (::fsync(fd_) != 0 || ::rename(part_.c_str(), place_.c_str()) != 0)) {
            errno_ = errno;
            return false;
        }
        const bool closed = ::close(std::exchange(fd_, -1)) == 0;
        errno_ = closed ? 0 : errno;
        return closed;
    }
    [[nodiscard]] error failure() const {
        return {ec::cannot_write_file, path_ + ": " + std::strerror(errno_)};
    }

  private:
    static constexpr ::mode_t permissions = 07777;

    void open(const std::string& file) {
        fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        errno_ = fd_ < 0 ? errno : 0;
    }

    std::string path_;
    std::string place_;  // What it is renamed to,
    std::string part_;   // and from; empty where it is written to as it is.
    int fd_ = -1;
    int errno_ = 0;  // Of what failed first; what runs between may change the global one.
};

expected<void> dump_to_file(const store_entries& all, const std::string& path, const context& ctx) {
    whole_file file{path};
    progress_bar bar;
    std::string buffer;
    for (std::size_t i = 0; i < all.size(); ++i) {
        append_dump_line(buffer, all[i].first, all[i].second);
        buffer += '\n';
        if (buffer.size() >= write_bytes) {
            if (!file.write(buffer)) {
                return tl::unexpected{file.failure()};
            }
            buffer.clear();
        }
        bar.show(path, i, all.size(), i);
        if (ctx.interrupt->raised()) {
            return fail(ec::cancelled);
        }
    }
    if (!file.write(buffer) || !file.finish()) {
        return tl::unexpected{file.failure()};
    }
    return {};
}

exit_code dump_to_output(const store_entries& all, const context& ctx) {
    line_output out;
    for (const auto& [key, entry] : all) {
        append_dump_line(out.buffer(), key, entry);
        out.end_line();
        if (!out.good() || ctx.interrupt->raised()) {
            break;
        }
    }
    out.flush();
    if (ctx.interrupt->raised()) {
        return ctx.interrupt->code();
    }
    return out.good() ? exit_code::ok : exit_code::broken_pipe;
}

// -- load -----------------------------------------------------------------------------------------

/// What a line says, of which only puts have a value.
struct loaded_line {
    enum class kind : std::uint8_t { put, erase, left_out };
    kind what = kind::put;
    loaded_entry entry;
};

/// Lines of a dump have no "change": they are what stands there. Those of a file of orphans have.
expected<loaded_line::kind> kind_of(std::string_view line) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) {
        return fail(ec::invalid_json, "expected an object with key and value");
    }
    const auto change = json.find("change");
    if (change == json.end() || *change == "put") {
        return loaded_line::kind::put;
    }
    if (*change == "erase") {
        return loaded_line::kind::erase;
    }
    if (*change == "expire" || *change == "clear") {
        // What has expired does so anywhere; and a store that has gone on meanwhile is not to be
        // cleared by a line in a file.
        return loaded_line::kind::left_out;
    }
    return fail(ec::invalid_json, "change: expected put, erase, expire or clear");
}

expected<loaded_line> read_line(std::string_view line) {
    const auto kind = kind_of(line);
    if (!kind) {
        return tl::unexpected{kind.error()};
    }
    switch (*kind) {
        case loaded_line::kind::put:
            return read_dump_line(line).map([](loaded_entry entry) {
                return loaded_line{loaded_line::kind::put, std::move(entry)};
            });
        case loaded_line::kind::erase:
            return read_key_line(line).map([](data key) {
                return loaded_line{loaded_line::kind::erase, {std::move(key), {}, {}}};
            });
        case loaded_line::kind::left_out:
            break;
    }
    return loaded_line{loaded_line::kind::left_out, {}};
}

/// Reads a dump and writes it in batches.
class loader {
  public:
    loader(store& to, line_input& from, const store_options& how, const context& ctx)
        : to_(to), from_(from), how_(how), window_(ctx.common.timeout_or_default()) {}

    expected<void> load(std::uint64_t bytes_total);
    [[nodiscard]] std::uint64_t loaded() const noexcept { return window_.done(); }
    [[nodiscard]] std::uint64_t expired() const noexcept { return expired_; }
    [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_; }

  private:
    expected<void> take(std::string_view line);
    expected<void> send();

    static constexpr std::size_t batch_bytes = std::size_t{4} << 20;

    store& to_;
    line_input& from_;
    const store_options& how_;
    write_window window_;
    store_batch batch_;
    std::size_t bytes_ = 0;
    std::uint64_t line_ = 0;
    std::uint64_t first_line_ = 1;  // of the batch
    std::uint64_t expired_ = 0;
    std::uint64_t left_out_ = 0;
};

expected<void> loader::load(std::uint64_t bytes_total) {
    progress_bar bar;
    std::string_view line;
    for (;;) {
        const auto more = from_.next(line);
        if (!more) {
            return tl::unexpected{more.error()};
        }
        if (!*more) {
            break;
        }
        ++line_;
        if (auto taken = take(line); !taken) {
            // What came before it is written, and counted.
            const auto sent = send();
            const auto before = sent ? window_.drain() : sent;
            return before ? taken : before;
        }
        bar.show(from_.name(), from_.bytes_consumed(), bytes_total, window_.done());
    }
    const auto sent = send();
    return sent ? window_.drain() : sent;
}

expected<void> loader::take(std::string_view line) {
    const auto read = read_line(line);
    if (!read) {
        return fail(read.error().code(),
                    fmt::format("{}, line {}: {}", from_.name(), line_, read.error().message()));
    }
    const auto& entry = read->entry;
    if (read->what == loaded_line::kind::left_out) {
        ++left_out_;
        return {};
    }
    if (read->what == loaded_line::kind::erase) {
        batch_.erase(entry.key);
    } else if (entry.expiry && *entry.expiry <= timespan{0}) {
        ++expired_;
        return {};
    } else {
        batch_.put(entry.key, entry.value, entry.expiry);
    }
    bytes_ += line.size();
    return batch_.size() >= how_.batch || bytes_ >= batch_bytes ? send() : expected<void>{};
}

expected<void> loader::send() {
    const auto first = std::exchange(first_line_, line_ + 1);
    if (batch_.size() == 0) {
        return {};
    }
    const auto batch = std::exchange(batch_, {});
    return window_.add(to_.apply(batch), std::exchange(bytes_, 0), batch.size(),
                       fmt::format("{}, lines {} to {}", from_.name(), first, line_));
}

void print_loaded(const loader& what, clock::time_point begun, bool json) {
    const auto seconds = std::chrono::duration<double>(clock::now() - begun).count();
    const auto expired = what.expired();
    const auto left_out = what.left_out();
    line_output{}.line(
        json ? fmt::format(
                   "{{\"loaded\":{},\"expired\":{},\"left_out\":{},\"seconds\":{:.6f}}}",
                   what.loaded(), expired, left_out, seconds)
             : fmt::format("{} entries in {:.3f} s{}{}", what.loaded(), seconds,
                           expired > 0 ? fmt::format("; {} had expired", expired) : "",
                           left_out > 0 ? fmt::format("; {} of expire or clear left out", left_out)
                                        : ""));
}

exit_code load(const store_options& how, const context& ctx, int fd, const std::string& name) {
    struct stat file {};
    const bool sized = fd != STDIN_FILENO && ::fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    auto session = open_store(how, ctx);
    if (!session) {
        return end_with(session.error(), ctx);
    }
    line_input input{*ctx.interrupt, fd, name};
    loader work{session->store, input, how, ctx};
    const auto begun = clock::now();
    expected<void> done;
    {
        const interrupt::handler stop{*ctx.interrupt, [&session] { session->node.shutdown(); }};
        done = work.load(sized ? static_cast<std::uint64_t>(file.st_size) : 0);
    }
    print_loaded(work, begun, ctx.common.json);
    return done ? exit_code::ok : end_with(done.error(), ctx);
}

}  // namespace

exit_code run_store_dump(const store_options& how, const context& ctx) {
    const auto range = key_range::of(how);
    if (!range) {
        return report(range.error());
    }
    const auto session = open_store(how, ctx);
    if (!session) {
        return end_with(session.error(), ctx);
    }
    const auto all = range->read(session->store, how.max);
    if (!all) {
        return end_with(all.error(), ctx);
    }
    if (how.arguments.empty()) {
        return dump_to_output(*all, ctx);
    }
    const auto& path = how.arguments.front();
    if (const auto done = dump_to_file(*all, path, ctx); !done) {
        return end_with(done.error(), ctx);
    }
    if (ctx.common.json) {
        line_output{}.line(fmt::format("{{\"dumped\":{}}}", all->size()));
    } else {
        line_output{}.line(fmt::format("{} entries", all->size()));
    }
    return exit_code::ok;
}

exit_code run_store_load(const store_options& how, const context& ctx) {
    const auto& path = how.arguments.front();
    if (path == "-") {
        return load(how, ctx, STDIN_FILENO, "standard input");
    }
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return report(error{ec::cannot_open_file, path + ": " + std::strerror(errno)});
    }
    const auto code = load(how, ctx, fd, path);
    ::close(fd);
    return code;
}

}  // namespace bzmq::cli
