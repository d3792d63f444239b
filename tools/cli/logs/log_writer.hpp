#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"
#include "bzmq/time.hpp"

#include "log_file.hpp"
#include "log_packer.hpp"
#include "log_schema.hpp"
#include "log_text.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bzmq::cli {

enum class log_format { tsv, json };

struct log_writer_options {
    std::string folder;
    log_format format = log_format::tsv;
    json_time times = json_time::epoch;
    std::uint64_t rotate_bytes = 0;  ///< 0: never because of its size
    timespan rotate_every{0};        ///< 0: never because of the time
    bool gzip = false;               ///< rotated logs
};

/// Writes Zeek logs into a folder: NAME.log for each log, and what was rotated away as
/// NAME.<when it was opened, UTC>.log, or .log.gz.
///
/// Rotation and all else that ends a log syncs it to the disk before it gets its new name, so that
/// a log with a date in its name is whole. A NAME.log that a former run left (it crashed, or was
/// just ended) is rotated away when its name is needed; a line that it broke off in is cut and told
/// of. What it had rotated and not packed yet is packed when this begins. A tab-separated log is
/// rotated also where a record has a field that its header lacks, or has with another type. The new
/// header has all fields that there were, and for a field with numbers of several types the wider
/// one (count, int, double); where the type of one field goes on changing, it is a string's. So few
/// files are begun, whatever comes.
///
/// Whatever fails because of the disk fails with a message that names file and reason, loses
/// nothing, and may be called again. Not thread-safe.
class log_writer {
  public:
    using reporter = std::function<void(std::string_view)>;

    /// Makes the folder where it is not there. `report` gets one line for each thing that an
    /// operator should know; it may be called on another thread. Fails where another logger writes
    /// to the folder.
    static expected<std::unique_ptr<log_writer>> open(log_writer_options how, reporter report);
    /// Does not flush: `close` does.
    ~log_writer();
    log_writer(const log_writer&) = delete;
    log_writer& operator=(const log_writer&) = delete;

    /// Takes a record; it is written at the next `flush`, or earlier. After an error it was not
    /// taken: `invalid_data` where a value does not fit its field's type.
    expected<void> write(const log_schema& schema, std::span<const data> values, timestamp now);
    /// Keeps a line that is no record in rejected.log, which no log's records go to: those of one
    /// with this name have %72ejected.log.
    expected<void> write_rejected(std::string_view line);
    /// Writes all that was taken.
    expected<void> flush();
    /// Rotates what is due.
    expected<void> rotate(timestamp now);
    /// Ends all logs, which keep their names, and syncs them.
    expected<void> close(timestamp now);

    [[nodiscard]] std::uint64_t records() const noexcept { return records_; }
    [[nodiscard]] std::uint64_t bytes_waiting() const noexcept;

  private:
    struct log;

    log_writer(log_writer_options how, reporter report, int lock);
    expected<log*> log_for(const log_schema& schema, timestamp now);
    expected<void> start(log& one, const log_schema& schema, timestamp now);
    expected<void> make_way(const std::string& path);
    expected<void> rotate_rejected(timestamp now);
    expected<void> finish(log& one, timestamp now);
    expected<void> rotate(log& one, timestamp now);
    [[nodiscard]] bool is_due(const log& one, timestamp now) const;
    [[nodiscard]] std::string path_of(std::string_view name) const;

    log_writer_options how_;
    reporter report_;
    int lock_ = -1;
    std::map<std::string, log, std::less<>> logs_;  // By the log's name.
    std::optional<log_file> rejected_;
    std::unique_ptr<log_packer> packer_;
    std::uint64_t records_ = 0;
};

}  // namespace bzmq::cli
