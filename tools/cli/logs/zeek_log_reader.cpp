#include "zeek_log_reader.hpp"

#include "zeek_values.hpp"
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace bzmq::cli {
namespace {

constexpr std::size_t line_bytes_max = std::size_t{16} << 20;
constexpr unsigned buffer_bytes = 128 * 1024;

struct close_gzip {
    void operator()(gzFile file) const { gzclose_r(file); }
};

/// "/var/log/conn.00:00:00-01:00:00.json.gz" is a log named conn.
std::string path_of_file_name(const std::string& file) {
    const auto base = file.substr(file.rfind('/') + 1);
    return base.substr(0, base.find('.'));
}

}  // namespace

data to_data(const log_record& record) {
    table out;
    for (const auto& [name, value] : record.fields) {
        out.emplace(name, value);
    }
    return out;
}

class zeek_log_reader::implementation {
  public:
    /// Takes the file over, which reads plain and gzip alike.
    implementation(std::string name, gzFile file, std::uint64_t total)
        : name_(std::move(name)), file_(file), total_(total) {}

    expected<bool> next(log_record& out) {
        if (done_) {
            return false;
        }
        auto found = read_next(out);
        done_ = !found || !*found;
        return found;
    }

    [[nodiscard]] std::uint64_t bytes_consumed() const {
        const auto offset = gzoffset(file_.get());
        return offset < 0 ? 0 : static_cast<std::uint64_t>(offset);
    }
    [[nodiscard]] std::uint64_t bytes_total() const { return total_; }
    [[nodiscard]] std::uint64_t line() const { return line_number_; }

  private:
    enum class form { unknown, tsv, json };

    expected<bool> read_next(log_record& out) {
        for (;;) {
            auto found = read_line();
            if (!found || !*found) {
                return found;
            }
            if (line_.empty()) {
                continue;
            }
            if (form_ == form::unknown) {
                form_ = line_.front() == '#'   ? form::tsv
                        : line_.front() == '{' ? form::json
                                               : form::unknown;
                if (form_ == form::unknown) {
                    return invalid(
                        "expected a Zeek log, which begins with #separator or a JSON object");
                }
            }
            const bool is_header = form_ == form::tsv && line_.front() == '#';
            if (form_ == form::json) {
                out.path = path_of_file_name(name_);
            }
            const auto read = is_header            ? tsv_.read_header(line_)
                              : form_ == form::tsv ? tsv_.read_record(line_, out)
                                                   : read_json_record(line_, out);
            if (!read) {
                return invalid(read.error());
            }
            if (!is_header) {
                return true;
            }
        }
    }

    /// Reads a line, without its end, into `line_`; false at the end of the file.
    expected<bool> read_line() {
        line_.clear();
        ++line_number_;
        for (;;) {
            if (at_ == end_) {
                const int count = gzread(file_.get(), buffer_.data(), buffer_bytes);
                int code = Z_OK;
                const char* why = gzerror(file_.get(), &code);
                if (count < 0 || (code != Z_OK && code != Z_STREAM_END)) {
                    return broken(code, why);
                }
                at_ = 0;
                end_ = static_cast<std::size_t>(count);
                if (count == 0) {
                    return !line_.empty();
                }
            }
            const auto* begin = buffer_.data() + at_;
            const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', end_ - at_));
            const auto count =
                newline != nullptr ? static_cast<std::size_t>(newline - begin) : end_ - at_;
            line_.append(begin, count);
            at_ += count + (newline != nullptr ? 1 : 0);
            if (line_.size() > line_bytes_max) {
                return invalid("expected a line of at most 16 MiB");
            }
            if (newline != nullptr) {
                return true;
            }
        }
    }

    [[nodiscard]] unexpected invalid(const std::string& what) const {
        return fail(ec::invalid_data, name_ + ':' + std::to_string(line_number_) + ": " + what);
    }

    [[nodiscard]] unexpected broken(int code, const char* why) const {
        if (code == Z_ERRNO) {
            return fail(ec::cannot_open_file, name_ + ": " + std::strerror(errno));
        }
        return invalid(code == Z_BUF_ERROR ? "expected more: the gzip stream is cut off"
                                           : std::string{"expected a sound gzip stream: "} + why);
    }

    std::string name_;
    std::unique_ptr<gzFile_s, close_gzip> file_;
    std::uint64_t total_;
    std::vector<char> buffer_ = std::vector<char>(buffer_bytes);
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::string line_;
    std::uint64_t line_number_ = 0;
    form form_ = form::unknown;
    tsv_format tsv_;
    bool done_ = false;
};

expected<zeek_log_reader> zeek_log_reader::open(const std::string& file) {
    const bool is_input = file == "-";
    errno = 0;
    const int input = is_input ? dup(STDIN_FILENO) : -1;
    gzFile opened =
        is_input ? (input < 0 ? nullptr : gzdopen(input, "rb")) : gzopen(file.c_str(), "rb");
    struct stat info {};
    const bool has_info = (is_input ? fstat(STDIN_FILENO, &info) : stat(file.c_str(), &info)) == 0;
    if (opened == nullptr || (has_info && S_ISDIR(info.st_mode))) {
        const std::string why =
            opened != nullptr ? "is a directory" : std::strerror(errno == 0 ? ENOMEM : errno);
        if (opened != nullptr) {
            gzclose_r(opened);
        }
        return fail(ec::cannot_open_file, file + ": " + why);
    }
    gzbuffer(opened, buffer_bytes);
    const auto total =
        has_info && S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
    return zeek_log_reader{
        std::make_unique<implementation>(is_input ? "standard input" : file, opened, total)};
}

zeek_log_reader::zeek_log_reader(std::unique_ptr<implementation> impl) : impl_(std::move(impl)) {}
zeek_log_reader::zeek_log_reader(zeek_log_reader&&) noexcept = default;
zeek_log_reader& zeek_log_reader::operator=(zeek_log_reader&&) noexcept = default;
zeek_log_reader::~zeek_log_reader() = default;

expected<bool> zeek_log_reader::next(log_record& out) {
    return impl_->next(out);
}
std::uint64_t zeek_log_reader::bytes_consumed() const {
    return impl_->bytes_consumed();
}
std::uint64_t zeek_log_reader::bytes_total() const {
    return impl_->bytes_total();
}
std::uint64_t zeek_log_reader::line() const {
    return impl_->line();
}

}  // namespace bzmq::cli
