#pragma once

#include "bzmq/data.hpp"
#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/zeek.hpp"

#include "log_schema.hpp"

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Records of logs as messages (`bzmq/zeek.hpp`): a log_create tells a log's columns, a log_write
/// has a record's values. What this side publishes are batches that
/// begin with the log_create, so that each tells all that is needed to write it, to whoever joins
/// or comes back at any time.
namespace bzmq::cli {

/// Gathers records into a batch.
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
    std::vector<zeek::any_message> writes_;
};

/// Finds the records in what comes from the overlay.
class log_reader {
  public:
    using visitor = std::function<expected<void>(const log_schema&, std::span<const data>)>;
    /// Gets what is no record, or none that `take` took: the whole message or, of a batch, the part
    /// that it is, and why.
    using rejecter = std::function<void(const data&, const error&)>;

    /// Calls `take` with each record: those of Zeek's messages, and a table with names as keys, which
    /// is a record of the log that the last part of the topic names. What follows in a batch on what
    /// is rejected (`ec::invalid_data` and what was expected, or as `take` failed) is taken all the
    /// same. Of streams, the 10,000 that were used last are known.
    void read(const endpoint_id& origin, std::string_view topic, const data& value,
              const visitor& take, const rejecter& reject);

  private:
    struct stream_key {
        endpoint_id origin;
        std::string stream;
        std::string writer;
        auto operator<=>(const stream_key&) const = default;
    };
    struct stream {
        log_schema schema;
        std::list<stream_key>::iterator used;
    };

    void read(const endpoint_id& origin, const zeek::any_message& what, const visitor& take,
              const rejecter& reject);
    expected<void> read_one(const endpoint_id& origin, const zeek::any_message& what,
                            const visitor& take);
    expected<void> create(const endpoint_id& origin, const zeek::log_create& what);
    expected<void> write(const endpoint_id& origin, const zeek::log_write& what,
                         const visitor& take);
    expected<void> read_table(std::string_view topic, const table& value, const visitor& take);

    std::map<stream_key, stream> streams_;
    std::list<stream_key> used_;  // The one that was used longest ago first.
};

}  // namespace bzmq::cli
