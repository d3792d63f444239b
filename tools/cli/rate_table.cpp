#include "rate_table.hpp"

#include <algorithm>
#include <tuple>

namespace bzmq::cli {

void rate_table::count(std::string_view key, std::uint64_t bytes) {
    auto at = rows_.find(key);
    if (at == rows_.end()) {
        at = rows_.try_emplace(std::string{rows_.size() < keys_max ? key : others}).first;
    }
    for (auto* each : {&at->second.first, &at->second.second}) {
        ++each->messages;
        each->bytes += bytes;
    }
}

std::vector<rate_table::row> rate_table::turn() {
    std::vector<row> out;
    out.reserve(rows_.size());
    for (auto& [key, counts] : rows_) {
        out.push_back({key, std::exchange(counts.first, {}), counts.second});
    }
    std::stable_sort(out.begin(), out.end(), [](const row& a, const row& b) {
        return std::tie(a.now.messages, a.all.messages) > std::tie(b.now.messages, b.all.messages);
    });
    return out;
}

}  // namespace bzmq::cli
