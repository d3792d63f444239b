#pragma once

#include <cstddef>
#include <cstdint>

/// Bounds on link-state records and on the database that keeps them. Decoders refuse what exceeds
/// them (`valid` in link_state.hpp), and whoever makes a record keeps within them.
namespace bzmq::overlay {

/// The largest sequence number of a record, so that an origin can always outbid what others hold.
constexpr std::uint64_t sequence_max = std::uint64_t{1} << 62;
/// Bytes of an endpoint's display name.
constexpr std::size_t name_bytes_max = 255;
/// Links that one topology record claims.
constexpr std::size_t neighbours_max = 4096;
/// Prefixes in one filter record, those of its bridges included.
constexpr std::size_t prefixes_max = 65'536;
/// Bytes of one prefix, and so of one topic that can still be named by a prefix.
constexpr std::size_t prefix_bytes_max = 65'535;
/// Bytes of all prefixes and domain tags in one filter record.
constexpr std::size_t filter_bytes_max = std::size_t{8} << 20;
/// Bridges in one filter record.
constexpr std::size_t bridges_max = 1024;
/// Bytes of a bridge's domain tag.
constexpr std::size_t domain_tag_bytes_max = 255;
/// Services in one filter record, and bytes of the name of one.
constexpr std::size_t services_max = 4096;
constexpr std::size_t service_bytes_max = 511;
/// Endpoints that one database knows or has heard named. Records beyond that are refused.
/// A link's node indexes (wire::nodes_per_link_max) must suffice for a tree of them all.
constexpr std::size_t nodes_max = 65'535;
/// Links of the longest path that counts; what travels farther is dropped.
constexpr std::uint32_t path_hops_max = 250;

}  // namespace bzmq::overlay
