#pragma once

#include "bzmq/endpoint.hpp"
#include "bzmq/store.hpp"

#include "context.hpp"
#include "output.hpp"
#include "value_format.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the operations of `bzmq-cli store` share.
namespace bzmq::cli {

struct store_options {
    std::string store;
    std::string operation;
    std::vector<std::string> arguments;
    value_format format = value_format::text;
    value_format key_format = value_format::text;
    std::optional<timespan> expiry;
    std::string revision;  ///< "true" where it was given without a number
    std::optional<std::string> index;
    std::optional<std::string> prefix;
    std::optional<std::string> from;
    std::optional<std::string> to;
    std::size_t max = static_cast<std::size_t>(-1);
    std::uint64_t count = 0;
    std::size_t batch = 1'000;
    bool atomic = false;
};

/// An endpoint with a clone of the store that has all of its state.
struct store_session {
    endpoint node;
    bzmq::store store;
};

/// Connects and copies the store: as long as the copy grows it may take longer than the timeout.
/// `ec::no_such_master` where nobody within reach has the store.
expected<store_session> open_store(const store_options& how, const context& ctx);

using store_entries = std::vector<std::pair<data, store_entry>>;

/// The keys that --prefix, --from and --to mean.
class key_range {
  public:
    static expected<key_range> of(const store_options& how);
    /// At most `max` entries in the order of their keys.
    [[nodiscard]] expected<store_entries> read(const store& from, std::size_t max) const;
    [[nodiscard]] bool has(const data& key) const;

  private:
    std::optional<std::string> prefix_;
    std::optional<data> from_;
    std::optional<data> to_;
};

/// Prints results: text in the formats chosen, or JSON objects.
class store_printer {
  public:
    store_printer(const store_options& how, const context& ctx)
        : how_(how), json_(ctx.common.json) {}

    [[nodiscard]] bool json() const noexcept { return json_; }
    [[nodiscard]] line_output& out() noexcept { return out_; }
    /// `"key":…` or the key's text.
    void key(std::string& line, const data& what) const;
    /// An entry; in text its value alone unless `with_key` or --revision ask for more.
    void entry(const data& key, const store_entry& what, bool with_key);
    /// What a write to `key` came to: `field` names `what` (JSON or text) in JSON.
    void result(const data& key, std::string_view field, std::string_view what, bool with_key,
                std::uint64_t revision);
    /// On standard error and, in JSON, on standard output as well.
    exit_code failure(const data& key, const error& why);

  private:
    const store_options& how_;
    const bool json_;
    line_output out_;
};

/// `,"expiry":"…"` and the like for JSON lines: nothing where the entry stays.
void append_expiry(std::string& line, const std::optional<timestamp>& expiry);
/// One line of a dump, as `store-file dump` writes it as well.
void append_dump_line(std::string& line, const data& key, const store_entry& what);

struct loaded_entry {
    data key;
    data value;
    std::optional<timespan> expiry;  ///< from now on; not above zero: it has expired
};

/// Reads a line of a dump, of which key, value and expiry count; keys and values may also be plain
/// JSON. Fails with `ec::invalid_json`.
expected<loaded_entry> read_dump_line(std::string_view line);
/// The same, of which the key counts.
expected<data> read_key_line(std::string_view line);

// -- The operations, a function for each kind -----------------------------------------------------

exit_code run_store_reads(const store_options& how, const context& ctx);  ///< get keys size info
exit_code run_store_promote(const store_options& how, const context& ctx);
exit_code run_store_watch(const store_options& how, const context& ctx);
exit_code run_store_writes(const store_options& how, const context& ctx);  ///< all that change keys
exit_code run_store_dump(const store_options& how, const context& ctx);
exit_code run_store_load(const store_options& how, const context& ctx);

}  // namespace bzmq::cli
