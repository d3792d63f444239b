#include "zeek_log_reader.hpp"

#include "gzip_input.hpp"
#include "zeek_values.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace bzmq::cli {
namespace {

constexpr std::size_t line_bytes_max = std::size_t{16} << 20;
constexpr std::size_t buffer_bytes = std::size_t{128} << 10;

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
    explicit implementation(gzip_input input) : input_(std::move(input)) {}

    expected<bool> next(log_record& out) {
        if (done_) {
            return false;
        }
        auto found = read_next(out);
        done_ = !found || !*found;
        return found;
    }

    [[nodiscard]] bool would_wait() const {
        const bool has_line = std::memchr(buffer_.data() + at_, '\n', end_ - at_) != nullptr;
        return !done_ && !has_line && input_.would_wait();
    }
    [[nodiscard]] std::uint64_t bytes_consumed() const { return input_.bytes_consumed(); }
    [[nodiscard]] std::uint64_t bytes_total() const { return input_.bytes_total(); }
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
                out.path = path_of_file_name(input_.name());
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
                at_ = end_ = 0;
                const auto count = input_.read(buffer_.data(), buffer_.size());
                if (!count) {
                    const auto& why = count.error();
                    return why == ec::invalid_data ? invalid(why.message()) : unexpected{why};
                }
                end_ = *count;
                if (end_ == 0) {
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
        return fail(ec::invalid_data,
                    input_.name() + ':' + std::to_string(line_number_) + ": " + what);
    }

    gzip_input input_;
    std::vector<char> buffer_ = std::vector<char>(buffer_bytes);
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::string line_;
    std::uint64_t line_number_ = 0;
    form form_ = form::unknown;
    tsv_format tsv_;
    bool done_ = false;
};

expected<zeek_log_reader> zeek_log_reader::open(const std::string& file, int stop_fd) {
    return gzip_input::open(file, stop_fd).map([](gzip_input&& input) {
        return zeek_log_reader{std::make_unique<implementation>(std::move(input))};
    });
}

zeek_log_reader::zeek_log_reader(std::unique_ptr<implementation> impl) : impl_(std::move(impl)) {}
zeek_log_reader::zeek_log_reader(zeek_log_reader&&) noexcept = default;
zeek_log_reader& zeek_log_reader::operator=(zeek_log_reader&&) noexcept = default;
zeek_log_reader::~zeek_log_reader() = default;

expected<bool> zeek_log_reader::next(log_record& out) {
    return impl_->next(out);
}
bool zeek_log_reader::would_wait() const {
    return impl_->would_wait();
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
