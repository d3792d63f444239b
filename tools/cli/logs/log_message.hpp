#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"

#include "log_schema.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

/// Records of logs as messages: Zeek's LogCreate, which tells a log's columns, and LogWrite, which
/// has a record's values; docs/cluster.md shows them. What this side publishes are Batches that
/// begin with the LogCreate, so that each tells all that is needed to write it, to whoever joins
/// or comes back at any time.
namespace bzmq::cli {

/// Gathers records into a Batch.
class log_batch {
  public:
    /// False where the record is of another log than the ones before or has other columns: send
    /// what there is first.
    [[nodiscard]] bool fits(const log_record& record) const;
    void add(const log_record& record);
    [[nodiscard]] std::size_t size() const noexcept { return writes_.size(); }
    /// The message; nothing is left here.
    data take();
    [[nodiscard]] const std::string& path() const noexcept { return schema_.path; }

  private:
    log_schema schema_;
    vector writes_;
};

/// Finds the records in what comes from the overlay.
class log_reader {
  public:
    using visitor = std::function<expected<void>(const log_schema&, std::span<const data>)>;

    /// Calls `take` with each record: those of Zeek's messages, and a table with names as keys, which
    /// is a record of the log that the last part of the topic names. Fails with `ec::invalid_data`
    /// and what was expected, or as `take` did; what is in front of the failure has been taken.
    expected<void> read(const endpoint_id& origin, std::string_view topic, const data& value,
                        const visitor& take);

  private:
    struct stream_key {
        endpoint_id origin;
        std::string stream;
        std::string writer;
        auto operator<=>(const stream_key&) const = default;
    };

    expected<void> read_message(const endpoint_id& origin, const data& value, const visitor& take,
                                unsigned depth);
    expected<void> create(const endpoint_id& origin, const vector& fields);
    expected<void> write(const endpoint_id& origin, const vector& fields, const visitor& take);
    expected<void> read_table(std::string_view topic, const table& value, const visitor& take);

    std::map<stream_key, log_schema> streams_;
};

}  // namespace bzmq::cli
