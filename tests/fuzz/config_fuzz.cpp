#include "bzmq/network_info.hpp"

#include "endpoint/configuration_sources.hpp"
#include "endpoint/configuration_table.hpp"
#include "endpoint/permissions_file.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

/// Whatever a configuration file holds, reading it ends with an error value or with options that
/// pass their checks; likewise a permissions file. Addresses normalise to themselves.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view document{reinterpret_cast<const char*>(bytes), size};
    bzmq::endpoint_options options;
    if (bzmq::config::apply_toml(options, document, "fuzz.toml")) {
        for (const auto& known : bzmq::config::options()) {
            if (!bzmq::config::check(options, known)) {
                std::abort();
            }
        }
    }
    if (const auto rules = bzmq::parse_permissions(document, "fuzz.toml");
        rules && !rules->covers_all()) {
        std::abort();
    }
    if (const auto url = bzmq::normalise_url(document)) {
        if (bzmq::normalise_url(*url) != url) {
            std::abort();
        }
    }
    for (const auto& known : bzmq::config::options()) {
        bzmq::endpoint_options fresh;
        if (bzmq::config::set_from_text(fresh, known, document)
            && !bzmq::config::check(fresh, known)) {
            std::abort();
        }
    }
    return 0;
}
