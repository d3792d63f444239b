// Ids, codes and statuses as text.
#include <set>

#include <gtest/gtest.h>

#include "bzmq/endpoint_id.hpp"
#include "bzmq/error.hpp"
#include "bzmq/overflow_policy.hpp"
#include "bzmq/status.hpp"

namespace bzmq {
namespace {

const endpoint_id sample{{0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f, 0xa1, 0x65, 0x70, 0x86,
                          0x77, 0x28, 0x95, 0x0e}};
constexpr std::string_view sample_text = "0f8fad5b-d9cb-469f-a165-70867728950e";

TEST(endpoint_id, is_written_as_a_uuid_and_read_back) {
    EXPECT_EQ(to_string(sample), sample_text);
    EXPECT_EQ(endpoint_id::parse(sample_text), sample);
    EXPECT_EQ(endpoint_id::parse("0F8FAD5BD9CB469FA16570867728950E"), sample);
    EXPECT_EQ(to_string(endpoint_id{}), "00000000-0000-0000-0000-000000000000");
}

TEST(endpoint_id, refuses_text_that_is_no_id) {
    for (const std::string_view text :
         {"", "0f8f", "0f8fad5b-d9cb-469f-a165-70867728950", "0f8fad5b-d9cb-469f-a165-70867728950ee",
          "0f8fad5b-d9cb-469f-a165-70867728950g", "0f8fad5bd-9cb-469f-a165-70867728950e",
          "0f8fad5b_d9cb_469f_a165_70867728950e", "0F8FAD5BD9CB469FA16570867728950 ",
          "0x8fad5bd9cb469fa16570867728950e"}) {
        EXPECT_FALSE(endpoint_id::parse(text)) << text;
    }
}

TEST(endpoint_id, is_ordered_by_bytes_and_nil_is_first) {
    EXPECT_LT(endpoint_id{}, sample);
    EXPECT_FALSE(endpoint_id{});
    EXPECT_TRUE(sample);
    EXPECT_LT((endpoint_id{{0, 255}}), (endpoint_id{{1, 0}}));
}

TEST(error, every_code_has_a_name_of_its_own_that_leads_back) {
    std::set<std::string_view> names;
    for (unsigned code = 0; code <= static_cast<unsigned>(ec::forbidden); ++code) {
        const auto name = to_string(static_cast<ec>(code));
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_EQ(ec_from_string(name), static_cast<ec>(code)) << name;
    }
}

TEST(error, numbers_that_travel_stay_what_they_are) {
    EXPECT_EQ(static_cast<int>(ec::peer_incompatible), 2);
    EXPECT_EQ(static_cast<int>(ec::peer_invalid), 3);
    EXPECT_EQ(static_cast<int>(ec::peer_timeout), 6);
    EXPECT_EQ(static_cast<int>(ec::queue_full), 19);
    EXPECT_EQ(static_cast<int>(ec::shutting_down), 21);
    EXPECT_EQ(static_cast<int>(ec::redundant_connection), 23);
    EXPECT_EQ(static_cast<int>(ec::cancelled), 31);
    EXPECT_EQ(static_cast<int>(ec::revision_mismatch), 33);
    EXPECT_EQ(static_cast<int>(ec::forbidden), 34);
}

TEST(error, unknown_codes_and_names_are_unspecified) {
    EXPECT_EQ(to_string(static_cast<ec>(255)), "unspecified");
    EXPECT_EQ(ec_from_string("no such name"), ec::unspecified);
    EXPECT_EQ(ec_from_string(""), ec::unspecified);
}

TEST(error, is_true_where_it_is_one_and_says_what_happened) {
    EXPECT_FALSE(error{});
    EXPECT_TRUE(error{ec::queue_full});
    EXPECT_EQ(to_string(error{ec::queue_full}), "queue_full");
    EXPECT_EQ(to_string(error{ec::peer_unavailable, "no answer from tcp://127.0.0.1:9999"}),
              "peer_unavailable: no answer from tcp://127.0.0.1:9999");
}

TEST(status, tells_code_name_id_address_and_message) {
    const std::string id{sample_text};
    EXPECT_EQ(to_string(status{sc::peer_added, {sample, "worker", "tcp://127.0.0.1:9999"}}),
              "peer_added: worker " + id + " at tcp://127.0.0.1:9999");
    EXPECT_EQ(to_string(status{sc::peer_lost, {sample, "", ""}, "is silent"}),
              "peer_lost: " + id + ": is silent");
    for (const auto code : {sc::peer_added, sc::peer_removed, sc::peer_lost,
                            sc::endpoint_discovered, sc::endpoint_unreachable,
                            sc::store_promoted, sc::store_stale, sc::store_fresh}) {
        EXPECT_NE(to_string(code), "unspecified");
    }
    EXPECT_EQ(to_string(static_cast<sc>(200)), "unspecified");
}

TEST(status, variant_says_which_it_is) {
    const status_variant failure{error{ec::peer_timeout, "late"}};
    EXPECT_TRUE(is<error>(failure));
    EXPECT_FALSE(is<status>(failure));
    EXPECT_EQ(to_string(failure), "peer_timeout: late");
    EXPECT_EQ(get_if<status>(&failure), nullptr);
}

TEST(overflow_policy, names_lead_back) {
    for (const auto policy : {overflow_policy::block, overflow_policy::drop_newest,
                              overflow_policy::drop_oldest, overflow_policy::disconnect}) {
        EXPECT_EQ(parse_overflow_policy(to_string(policy)), policy);
    }
    EXPECT_FALSE(parse_overflow_policy("fastest"));
}

}  // namespace
}  // namespace bzmq
