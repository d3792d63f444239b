#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bzmq::cli {

/// One line of a Zeek log.
struct log_record {
    std::string path;  ///< the log's name, e.g. "dns"
    /// Name and value in the order of the log.
    std::vector<std::pair<std::string, data>> fields;
    /// What belongs to the log stream rather than to the record: JSON's _path, _write_ts and the
    /// like, in the order of the log.
    std::vector<std::pair<std::string, data>> extension = {};
    /// The fields' types, as a tab-separated log's header names them; null for JSON.
    std::shared_ptr<const std::vector<std::string>> types = nullptr;
};

/// The record as one value: a table from field name (string) to value.
data to_data(const log_record& record);

/// Reads Zeek logs record by record, whatever their size: tab-separated or one JSON object a line,
/// plain or gzip, recognised by their first bytes.
///
/// Tab-separated logs tell the type of each field: time is a timestamp, interval a timespan, count,
/// int, double, bool, addr, subnet and port their namesakes, enum an enum_value, string a string,
/// set[T] a set and vector[T] a vector. What is unset is none.
///
/// JSON does not tell types; they follow from the part of the field's name behind its last dot:
///
///     ts *_ts *_time not_valid_before not_valid_after     timestamp, from a number or ISO 8601
///     rtt duration suppress_for lease_time TTLs *_delay   timespan, from a number of seconds
///     *_h src dst *_addr *_hosts, host of known_* and     address
///       software
///     p *_p port_num                                      port
///     proto *_proto note actions software_type            enum_value
///     any other number                                    count, integer if negative, real if it
///                                                         has a fraction
///
/// and where a value has not the form of its type, it is what it looks like. A list is a vector,
/// except that actions, email_dest, service, tunnel_parents, tx_hosts, rx_hosts, conn_uids and
/// analyzers are sets. Names with an underscore in front (_path, _write_ts) belong to the log
/// stream, not to the record (`extension`); _path, else the file's name, tells the record's path.
///
/// In both forms the record's proto, port_proto or transport_proto (tcp, udp or icmp) tells the
/// protocol of its ports.
class zeek_log_reader {
  public:
    /// Opens a log; "-" is standard input. Once `stop_fd` is readable, nobody waits for it any more.
    /// Fails with `ec::cannot_open_file`.
    static expected<zeek_log_reader> open(const std::string& file, int stop_fd = -1);

    zeek_log_reader(zeek_log_reader&&) noexcept;
    zeek_log_reader& operator=(zeek_log_reader&&) noexcept;
    ~zeek_log_reader();

    /// Reads the next record into `out`, whose memory it reuses, as soon as its line is there; false
    /// at the end of the log. After an error, which names file and line and says what was expected
    /// (`ec::invalid_data`; a broken or truncated gzip stream too, after all records before that),
    /// the log yields nothing more. `ec::cancelled` where it was stopped.
    expected<bool> next(log_record& out);
    /// True where `next` would have to wait for more of a pipe.
    [[nodiscard]] bool would_wait() const;

    /// Progress: how much of the file as it lies on disk has been read, and its size, 0 where it
    /// has none (a pipe).
    [[nodiscard]] std::uint64_t bytes_consumed() const;
    [[nodiscard]] std::uint64_t bytes_total() const;

    /// The line that `next` read last, from 1.
    [[nodiscard]] std::uint64_t line() const;

  private:
    class implementation;
    explicit zeek_log_reader(std::unique_ptr<implementation> impl);
    std::unique_ptr<implementation> impl_;
};

}  // namespace bzmq::cli
