// kernel   contract_4x18x18x18_k16x7x7x7_f32: m 4, n1 18, n2 18, n3 18, k1 16, k2 7, k3 7, k4 7
// params   out float32[23328] written, x0 float32[93312], x1 float32[21952]
//          t0 = x0[n1*324+n2*18+n3+k1*5832+k2*-324+k3*-18+k4*-1+1029 | 0<=n1+k2*-1+3<18, 0<=n2+k3*-1+3<18, 0<=n3+k4*-1+3<18] * x1[m*343+k1*1372+k2*49+k3*7+k4]     {m n1 n2 n3 k1 k2 k3 k4}
//          t1 = add over k1 k2 k3 k4 (t0)                                               {m n1 n2 n3}
//          out[m*5832+n1*324+n2*18+n3] = t1                                             {m n1 n2 n3}
//
// grid     n2 by 1, n3 by 1, m by 4, n1 by 32
// loop     k1 by 1, n1 by 32, m by 4, k3 by 1, k4 by 1, k1 by 1
// vector   n1
// stage    pack x0[n1*324+n2*18+n3+k1*5832+k2*-324+k3*-18+k4*-1+1029 | 0<=n1+k2*-1+3<18, 0<=n2+k3*-1+3<18, 0<=n3+k4*-1+3<18] at 5 as (n1,32)(k3,1)(k4,1)(k1,1)(k2,1)(n1,1) pad 0
// stage    pack x1[m*343+k1*1372+k2*49+k3*7+k4] at 5 as (k1,1)(m,1)(k2,1)(k3,1)(k4,1) pad 0
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void contract_4x18x18x18_k16x7x7x7_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int n2_0 = (int)get_group_id(1) * 1;
  const int n3_1 = (int)get_group_id(0) * 1;
  float16 acc0_0_0 = (float16)(0.0f);
  float16 acc0_0_16 = (float16)(0.0f);
  float16 acc0_1_0 = (float16)(0.0f);
  float16 acc0_1_16 = (float16)(0.0f);
  float16 acc0_2_0 = (float16)(0.0f);
  float16 acc0_2_16 = (float16)(0.0f);
  float16 acc0_3_0 = (float16)(0.0f);
  float16 acc0_3_16 = (float16)(0.0f);
  kf_for (int k1_2 = 0; k1_2 < 16; k1_2 += 1) {
    float pack1[10976] __attribute__((aligned(64)));
    kf_for (int k2_3 = 0; k2_3 < 7; k2_3 += 1) {
      kf_for (int k3_4 = 0; k3_4 < 7; k3_4 += 1) {
        kf_for (int k4_5 = 0; k4_5 < 7; k4_5 += 1) {
          kf_for (int n1_6 = 0; n1_6 < 32; n1_6 += 16) {
            const int16 inside_1 = (kf_lanes_int >= 0 - (n1_6 - k2_3 + 3)) & (kf_lanes_int < min(18 - n1_6, 18 - (n1_6 - k2_3 + 3)));
            const int16 safe_2 = select((int16)(0), n1_6 * 324 + n2_0 * 18 + n3_1 + k1_2 * 5832 + k2_3 * -324 + k3_4 * -18 - k4_5 + 1029 + kf_lanes_int * 324, inside_1);
            const float16 x0_3 = (n2_0 - k3_4 >= -3 && n2_0 - k3_4 < 15 && n3_1 - k4_5 >= -3 && n3_1 - k4_5 < 15) ? select((float16)(0.0f), (float16)(x0[safe_2.s0], x0[safe_2.s1], x0[safe_2.s2], x0[safe_2.s3], x0[safe_2.s4], x0[safe_2.s5], x0[safe_2.s6], x0[safe_2.s7], x0[safe_2.s8], x0[safe_2.s9], x0[safe_2.sa], x0[safe_2.sb], x0[safe_2.sc], x0[safe_2.sd], x0[safe_2.se], x0[safe_2.sf]), inside_1) : (float16)(0.0f);
            vstore16(x0_3, 0, pack1 + n1_6 / 32 * 10976 + k3_4 * 1568 + k4_5 * 224 + k2_3 * 32 + n1_6 % 32);
          }
        }
      }
    }
    float pack2[1372] __attribute__((aligned(64)));
    kf_for (int k4_3 = 0; k4_3 < 1360; k4_3 += 16) {
      const float16 x1_4 = vload16(0, x1 + k1_2 * 1372 + k4_3);
      vstore16(x1_4, 0, pack2 + k4_3);
    }
    kf_for (int k4_3 = 1360; k4_3 < 1372; k4_3 += 1) {
      const float x1_5 = x1[k1_2 * 1372 + k4_3];
      pack2[k4_3] = x1_5;
    }
    const int first_6 = clamp((int)(n2_0 + -14), (int)0, (int)(7 - 0 - 1));
    const int last_7 = max((int)(first_6 + 1), min((int)(7), (int)(n2_0 + 4)));
    kf_for (int k3_3 = first_6; k3_3 < last_7; k3_3 += 1) {
      const int first_8 = clamp((int)(n3_1 + -14), (int)0, (int)(7 - 0 - 1));
      const int last_9 = max((int)(first_8 + 1), min((int)(7), (int)(n3_1 + 4)));
      kf_for (int k4_4 = first_8; k4_4 < last_9; k4_4 += 1) {
        const float16 pack_10 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224);
        const float pack_11 = pack2[k3_3 * 7 + k4_4];
        acc0_0_0 = fma(pack_10, (float16)(pack_11), acc0_0_0);
        const float16 pack_12 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 32);
        const float pack_13 = pack2[k3_3 * 7 + k4_4 + 49];
        acc0_0_0 = fma(pack_12, (float16)(pack_13), acc0_0_0);
        const float16 pack_14 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 64);
        const float pack_15 = pack2[k3_3 * 7 + k4_4 + 98];
        acc0_0_0 = fma(pack_14, (float16)(pack_15), acc0_0_0);
        const float16 pack_16 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 96);
        const float pack_17 = pack2[k3_3 * 7 + k4_4 + 147];
        acc0_0_0 = fma(pack_16, (float16)(pack_17), acc0_0_0);
        const float16 pack_18 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 128);
        const float pack_19 = pack2[k3_3 * 7 + k4_4 + 196];
        acc0_0_0 = fma(pack_18, (float16)(pack_19), acc0_0_0);
        const float16 pack_20 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 160);
        const float pack_21 = pack2[k3_3 * 7 + k4_4 + 245];
        acc0_0_0 = fma(pack_20, (float16)(pack_21), acc0_0_0);
        const float16 pack_22 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 192);
        const float pack_23 = pack2[k3_3 * 7 + k4_4 + 294];
        acc0_0_0 = fma(pack_22, (float16)(pack_23), acc0_0_0);
        const float16 pack_24 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 16);
        acc0_0_16 = fma(pack_24, (float16)(pack_11), acc0_0_16);
        const float16 pack_25 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 48);
        acc0_0_16 = fma(pack_25, (float16)(pack_13), acc0_0_16);
        const float16 pack_26 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 80);
        acc0_0_16 = fma(pack_26, (float16)(pack_15), acc0_0_16);
        const float16 pack_27 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 112);
        acc0_0_16 = fma(pack_27, (float16)(pack_17), acc0_0_16);
        const float16 pack_28 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 144);
        acc0_0_16 = fma(pack_28, (float16)(pack_19), acc0_0_16);
        const float16 pack_29 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 176);
        acc0_0_16 = fma(pack_29, (float16)(pack_21), acc0_0_16);
        const float16 pack_30 = vload16(0, pack1 + k3_3 * 1568 + k4_4 * 224 + 208);
        acc0_0_16 = fma(pack_30, (float16)(pack_23), acc0_0_16);
        const float pack_31 = pack2[k3_3 * 7 + k4_4 + 343];
        acc0_1_0 = fma(pack_10, (float16)(pack_31), acc0_1_0);
        const float pack_32 = pack2[k3_3 * 7 + k4_4 + 392];
        acc0_1_0 = fma(pack_12, (float16)(pack_32), acc0_1_0);
        const float pack_33 = pack2[k3_3 * 7 + k4_4 + 441];
        acc0_1_0 = fma(pack_14, (float16)(pack_33), acc0_1_0);
        const float pack_34 = pack2[k3_3 * 7 + k4_4 + 490];
        acc0_1_0 = fma(pack_16, (float16)(pack_34), acc0_1_0);
        const float pack_35 = pack2[k3_3 * 7 + k4_4 + 539];
        acc0_1_0 = fma(pack_18, (float16)(pack_35), acc0_1_0);
        const float pack_36 = pack2[k3_3 * 7 + k4_4 + 588];
        acc0_1_0 = fma(pack_20, (float16)(pack_36), acc0_1_0);
        const float pack_37 = pack2[k3_3 * 7 + k4_4 + 637];
        acc0_1_0 = fma(pack_22, (float16)(pack_37), acc0_1_0);
        acc0_1_16 = fma(pack_24, (float16)(pack_31), acc0_1_16);
        acc0_1_16 = fma(pack_25, (float16)(pack_32), acc0_1_16);
        acc0_1_16 = fma(pack_26, (float16)(pack_33), acc0_1_16);
        acc0_1_16 = fma(pack_27, (float16)(pack_34), acc0_1_16);
        acc0_1_16 = fma(pack_28, (float16)(pack_35), acc0_1_16);
        acc0_1_16 = fma(pack_29, (float16)(pack_36), acc0_1_16);
        acc0_1_16 = fma(pack_30, (float16)(pack_37), acc0_1_16);
        const float pack_38 = pack2[k3_3 * 7 + k4_4 + 686];
        acc0_2_0 = fma(pack_10, (float16)(pack_38), acc0_2_0);
        const float pack_39 = pack2[k3_3 * 7 + k4_4 + 735];
        acc0_2_0 = fma(pack_12, (float16)(pack_39), acc0_2_0);
        const float pack_40 = pack2[k3_3 * 7 + k4_4 + 784];
        acc0_2_0 = fma(pack_14, (float16)(pack_40), acc0_2_0);
        const float pack_41 = pack2[k3_3 * 7 + k4_4 + 833];
        acc0_2_0 = fma(pack_16, (float16)(pack_41), acc0_2_0);
        const float pack_42 = pack2[k3_3 * 7 + k4_4 + 882];
        acc0_2_0 = fma(pack_18, (float16)(pack_42), acc0_2_0);
        const float pack_43 = pack2[k3_3 * 7 + k4_4 + 931];
        acc0_2_0 = fma(pack_20, (float16)(pack_43), acc0_2_0);
        const float pack_44 = pack2[k3_3 * 7 + k4_4 + 980];
        acc0_2_0 = fma(pack_22, (float16)(pack_44), acc0_2_0);
        acc0_2_16 = fma(pack_24, (float16)(pack_38), acc0_2_16);
        acc0_2_16 = fma(pack_25, (float16)(pack_39), acc0_2_16);
        acc0_2_16 = fma(pack_26, (float16)(pack_40), acc0_2_16);
        acc0_2_16 = fma(pack_27, (float16)(pack_41), acc0_2_16);
        acc0_2_16 = fma(pack_28, (float16)(pack_42), acc0_2_16);
        acc0_2_16 = fma(pack_29, (float16)(pack_43), acc0_2_16);
        acc0_2_16 = fma(pack_30, (float16)(pack_44), acc0_2_16);
        const float pack_45 = pack2[k3_3 * 7 + k4_4 + 1029];
        acc0_3_0 = fma(pack_10, (float16)(pack_45), acc0_3_0);
        const float pack_46 = pack2[k3_3 * 7 + k4_4 + 1078];
        acc0_3_0 = fma(pack_12, (float16)(pack_46), acc0_3_0);
        const float pack_47 = pack2[k3_3 * 7 + k4_4 + 1127];
        acc0_3_0 = fma(pack_14, (float16)(pack_47), acc0_3_0);
        const float pack_48 = pack2[k3_3 * 7 + k4_4 + 1176];
        acc0_3_0 = fma(pack_16, (float16)(pack_48), acc0_3_0);
        const float pack_49 = pack2[k3_3 * 7 + k4_4 + 1225];
        acc0_3_0 = fma(pack_18, (float16)(pack_49), acc0_3_0);
        const float pack_50 = pack2[k3_3 * 7 + k4_4 + 1274];
        acc0_3_0 = fma(pack_20, (float16)(pack_50), acc0_3_0);
        const float pack_51 = pack2[k3_3 * 7 + k4_4 + 1323];
        acc0_3_0 = fma(pack_22, (float16)(pack_51), acc0_3_0);
        acc0_3_16 = fma(pack_24, (float16)(pack_45), acc0_3_16);
        acc0_3_16 = fma(pack_25, (float16)(pack_46), acc0_3_16);
        acc0_3_16 = fma(pack_26, (float16)(pack_47), acc0_3_16);
        acc0_3_16 = fma(pack_27, (float16)(pack_48), acc0_3_16);
        acc0_3_16 = fma(pack_28, (float16)(pack_49), acc0_3_16);
        acc0_3_16 = fma(pack_29, (float16)(pack_50), acc0_3_16);
        acc0_3_16 = fma(pack_30, (float16)(pack_51), acc0_3_16);
      }
    }
  }
  out[n2_0 * 18 + n3_1] = acc0_0_0.s0;
  out[n2_0 * 18 + n3_1 + 324] = acc0_0_0.s1;
  out[n2_0 * 18 + n3_1 + 648] = acc0_0_0.s2;
  out[n2_0 * 18 + n3_1 + 972] = acc0_0_0.s3;
  out[n2_0 * 18 + n3_1 + 1296] = acc0_0_0.s4;
  out[n2_0 * 18 + n3_1 + 1620] = acc0_0_0.s5;
  out[n2_0 * 18 + n3_1 + 1944] = acc0_0_0.s6;
  out[n2_0 * 18 + n3_1 + 2268] = acc0_0_0.s7;
  out[n2_0 * 18 + n3_1 + 2592] = acc0_0_0.s8;
  out[n2_0 * 18 + n3_1 + 2916] = acc0_0_0.s9;
  out[n2_0 * 18 + n3_1 + 3240] = acc0_0_0.sa;
  out[n2_0 * 18 + n3_1 + 3564] = acc0_0_0.sb;
  out[n2_0 * 18 + n3_1 + 3888] = acc0_0_0.sc;
  out[n2_0 * 18 + n3_1 + 4212] = acc0_0_0.sd;
  out[n2_0 * 18 + n3_1 + 4536] = acc0_0_0.se;
  out[n2_0 * 18 + n3_1 + 4860] = acc0_0_0.sf;
  const int16 inside_52 = (kf_lanes_int < 18 - 16);
  if (inside_52.s0) out[n2_0 * 18 + n3_1 + 5184] = acc0_0_16.s0;
  if (inside_52.s1) out[n2_0 * 18 + n3_1 + 5184 + 324] = acc0_0_16.s1;
  if (inside_52.s2) out[n2_0 * 18 + n3_1 + 5184 + 648] = acc0_0_16.s2;
  if (inside_52.s3) out[n2_0 * 18 + n3_1 + 5184 + 972] = acc0_0_16.s3;
  if (inside_52.s4) out[n2_0 * 18 + n3_1 + 5184 + 1296] = acc0_0_16.s4;
  if (inside_52.s5) out[n2_0 * 18 + n3_1 + 5184 + 1620] = acc0_0_16.s5;
  if (inside_52.s6) out[n2_0 * 18 + n3_1 + 5184 + 1944] = acc0_0_16.s6;
  if (inside_52.s7) out[n2_0 * 18 + n3_1 + 5184 + 2268] = acc0_0_16.s7;
  if (inside_52.s8) out[n2_0 * 18 + n3_1 + 5184 + 2592] = acc0_0_16.s8;
  if (inside_52.s9) out[n2_0 * 18 + n3_1 + 5184 + 2916] = acc0_0_16.s9;
  if (inside_52.sa) out[n2_0 * 18 + n3_1 + 5184 + 3240] = acc0_0_16.sa;
  if (inside_52.sb) out[n2_0 * 18 + n3_1 + 5184 + 3564] = acc0_0_16.sb;
  if (inside_52.sc) out[n2_0 * 18 + n3_1 + 5184 + 3888] = acc0_0_16.sc;
  if (inside_52.sd) out[n2_0 * 18 + n3_1 + 5184 + 4212] = acc0_0_16.sd;
  if (inside_52.se) out[n2_0 * 18 + n3_1 + 5184 + 4536] = acc0_0_16.se;
  if (inside_52.sf) out[n2_0 * 18 + n3_1 + 5184 + 4860] = acc0_0_16.sf;
  out[n2_0 * 18 + n3_1 + 5832] = acc0_1_0.s0;
  out[n2_0 * 18 + n3_1 + 5832 + 324] = acc0_1_0.s1;
  out[n2_0 * 18 + n3_1 + 5832 + 648] = acc0_1_0.s2;
  out[n2_0 * 18 + n3_1 + 5832 + 972] = acc0_1_0.s3;
  out[n2_0 * 18 + n3_1 + 5832 + 1296] = acc0_1_0.s4;
  out[n2_0 * 18 + n3_1 + 5832 + 1620] = acc0_1_0.s5;
  out[n2_0 * 18 + n3_1 + 5832 + 1944] = acc0_1_0.s6;
  out[n2_0 * 18 + n3_1 + 5832 + 2268] = acc0_1_0.s7;
  out[n2_0 * 18 + n3_1 + 5832 + 2592] = acc0_1_0.s8;
  out[n2_0 * 18 + n3_1 + 5832 + 2916] = acc0_1_0.s9;
  out[n2_0 * 18 + n3_1 + 5832 + 3240] = acc0_1_0.sa;
  out[n2_0 * 18 + n3_1 + 5832 + 3564] = acc0_1_0.sb;
  out[n2_0 * 18 + n3_1 + 5832 + 3888] = acc0_1_0.sc;
  out[n2_0 * 18 + n3_1 + 5832 + 4212] = acc0_1_0.sd;
  out[n2_0 * 18 + n3_1 + 5832 + 4536] = acc0_1_0.se;
  out[n2_0 * 18 + n3_1 + 5832 + 4860] = acc0_1_0.sf;
  const int16 inside_53 = (kf_lanes_int < 18 - 16);
  if (inside_53.s0) out[n2_0 * 18 + n3_1 + 11016] = acc0_1_16.s0;
  if (inside_53.s1) out[n2_0 * 18 + n3_1 + 11016 + 324] = acc0_1_16.s1;
  if (inside_53.s2) out[n2_0 * 18 + n3_1 + 11016 + 648] = acc0_1_16.s2;
  if (inside_53.s3) out[n2_0 * 18 + n3_1 + 11016 + 972] = acc0_1_16.s3;
  if (inside_53.s4) out[n2_0 * 18 + n3_1 + 11016 + 1296] = acc0_1_16.s4;
  if (inside_53.s5) out[n2_0 * 18 + n3_1 + 11016 + 1620] = acc0_1_16.s5;
  if (inside_53.s6) out[n2_0 * 18 + n3_1 + 11016 + 1944] = acc0_1_16.s6;
  if (inside_53.s7) out[n2_0 * 18 + n3_1 + 11016 + 2268] = acc0_1_16.s7;
  if (inside_53.s8) out[n2_0 * 18 + n3_1 + 11016 + 2592] = acc0_1_16.s8;
  if (inside_53.s9) out[n2_0 * 18 + n3_1 + 11016 + 2916] = acc0_1_16.s9;
  if (inside_53.sa) out[n2_0 * 18 + n3_1 + 11016 + 3240] = acc0_1_16.sa;
  if (inside_53.sb) out[n2_0 * 18 + n3_1 + 11016 + 3564] = acc0_1_16.sb;
  if (inside_53.sc) out[n2_0 * 18 + n3_1 + 11016 + 3888] = acc0_1_16.sc;
  if (inside_53.sd) out[n2_0 * 18 + n3_1 + 11016 + 4212] = acc0_1_16.sd;
  if (inside_53.se) out[n2_0 * 18 + n3_1 + 11016 + 4536] = acc0_1_16.se;
  if (inside_53.sf) out[n2_0 * 18 + n3_1 + 11016 + 4860] = acc0_1_16.sf;
  out[n2_0 * 18 + n3_1 + 11664] = acc0_2_0.s0;
  out[n2_0 * 18 + n3_1 + 11664 + 324] = acc0_2_0.s1;
  out[n2_0 * 18 + n3_1 + 11664 + 648] = acc0_2_0.s2;
  out[n2_0 * 18 + n3_1 + 11664 + 972] = acc0_2_0.s3;
  out[n2_0 * 18 + n3_1 + 11664 + 1296] = acc0_2_0.s4;
  out[n2_0 * 18 + n3_1 + 11664 + 1620] = acc0_2_0.s5;
  out[n2_0 * 18 + n3_1 + 11664 + 1944] = acc0_2_0.s6;
  out[n2_0 * 18 + n3_1 + 11664 + 2268] = acc0_2_0.s7;
  out[n2_0 * 18 + n3_1 + 11664 + 2592] = acc0_2_0.s8;
  out[n2_0 * 18 + n3_1 + 11664 + 2916] = acc0_2_0.s9;
  out[n2_0 * 18 + n3_1 + 11664 + 3240] = acc0_2_0.sa;
  out[n2_0 * 18 + n3_1 + 11664 + 3564] = acc0_2_0.sb;
  out[n2_0 * 18 + n3_1 + 11664 + 3888] = acc0_2_0.sc;
  out[n2_0 * 18 + n3_1 + 11664 + 4212] = acc0_2_0.sd;
  out[n2_0 * 18 + n3_1 + 11664 + 4536] = acc0_2_0.se;
  out[n2_0 * 18 + n3_1 + 11664 + 4860] = acc0_2_0.sf;
  const int16 inside_54 = (kf_lanes_int < 18 - 16);
  if (inside_54.s0) out[n2_0 * 18 + n3_1 + 16848] = acc0_2_16.s0;
  if (inside_54.s1) out[n2_0 * 18 + n3_1 + 16848 + 324] = acc0_2_16.s1;
  if (inside_54.s2) out[n2_0 * 18 + n3_1 + 16848 + 648] = acc0_2_16.s2;
  if (inside_54.s3) out[n2_0 * 18 + n3_1 + 16848 + 972] = acc0_2_16.s3;
  if (inside_54.s4) out[n2_0 * 18 + n3_1 + 16848 + 1296] = acc0_2_16.s4;
  if (inside_54.s5) out[n2_0 * 18 + n3_1 + 16848 + 1620] = acc0_2_16.s5;
  if (inside_54.s6) out[n2_0 * 18 + n3_1 + 16848 + 1944] = acc0_2_16.s6;
  if (inside_54.s7) out[n2_0 * 18 + n3_1 + 16848 + 2268] = acc0_2_16.s7;
  if (inside_54.s8) out[n2_0 * 18 + n3_1 + 16848 + 2592] = acc0_2_16.s8;
  if (inside_54.s9) out[n2_0 * 18 + n3_1 + 16848 + 2916] = acc0_2_16.s9;
  if (inside_54.sa) out[n2_0 * 18 + n3_1 + 16848 + 3240] = acc0_2_16.sa;
  if (inside_54.sb) out[n2_0 * 18 + n3_1 + 16848 + 3564] = acc0_2_16.sb;
  if (inside_54.sc) out[n2_0 * 18 + n3_1 + 16848 + 3888] = acc0_2_16.sc;
  if (inside_54.sd) out[n2_0 * 18 + n3_1 + 16848 + 4212] = acc0_2_16.sd;
  if (inside_54.se) out[n2_0 * 18 + n3_1 + 16848 + 4536] = acc0_2_16.se;
  if (inside_54.sf) out[n2_0 * 18 + n3_1 + 16848 + 4860] = acc0_2_16.sf;
  out[n2_0 * 18 + n3_1 + 17496] = acc0_3_0.s0;
  out[n2_0 * 18 + n3_1 + 17496 + 324] = acc0_3_0.s1;
  out[n2_0 * 18 + n3_1 + 17496 + 648] = acc0_3_0.s2;
  out[n2_0 * 18 + n3_1 + 17496 + 972] = acc0_3_0.s3;
  out[n2_0 * 18 + n3_1 + 17496 + 1296] = acc0_3_0.s4;
  out[n2_0 * 18 + n3_1 + 17496 + 1620] = acc0_3_0.s5;
  out[n2_0 * 18 + n3_1 + 17496 + 1944] = acc0_3_0.s6;
  out[n2_0 * 18 + n3_1 + 17496 + 2268] = acc0_3_0.s7;
  out[n2_0 * 18 + n3_1 + 17496 + 2592] = acc0_3_0.s8;
  out[n2_0 * 18 + n3_1 + 17496 + 2916] = acc0_3_0.s9;
  out[n2_0 * 18 + n3_1 + 17496 + 3240] = acc0_3_0.sa;
  out[n2_0 * 18 + n3_1 + 17496 + 3564] = acc0_3_0.sb;
  out[n2_0 * 18 + n3_1 + 17496 + 3888] = acc0_3_0.sc;
  out[n2_0 * 18 + n3_1 + 17496 + 4212] = acc0_3_0.sd;
  out[n2_0 * 18 + n3_1 + 17496 + 4536] = acc0_3_0.se;
  out[n2_0 * 18 + n3_1 + 17496 + 4860] = acc0_3_0.sf;
  const int16 inside_55 = (kf_lanes_int < 18 - 16);
  if (inside_55.s0) out[n2_0 * 18 + n3_1 + 22680] = acc0_3_16.s0;
  if (inside_55.s1) out[n2_0 * 18 + n3_1 + 22680 + 324] = acc0_3_16.s1;
  if (inside_55.s2) out[n2_0 * 18 + n3_1 + 22680 + 648] = acc0_3_16.s2;
  if (inside_55.s3) out[n2_0 * 18 + n3_1 + 22680 + 972] = acc0_3_16.s3;
  if (inside_55.s4) out[n2_0 * 18 + n3_1 + 22680 + 1296] = acc0_3_16.s4;
  if (inside_55.s5) out[n2_0 * 18 + n3_1 + 22680 + 1620] = acc0_3_16.s5;
  if (inside_55.s6) out[n2_0 * 18 + n3_1 + 22680 + 1944] = acc0_3_16.s6;
  if (inside_55.s7) out[n2_0 * 18 + n3_1 + 22680 + 2268] = acc0_3_16.s7;
  if (inside_55.s8) out[n2_0 * 18 + n3_1 + 22680 + 2592] = acc0_3_16.s8;
  if (inside_55.s9) out[n2_0 * 18 + n3_1 + 22680 + 2916] = acc0_3_16.s9;
  if (inside_55.sa) out[n2_0 * 18 + n3_1 + 22680 + 3240] = acc0_3_16.sa;
  if (inside_55.sb) out[n2_0 * 18 + n3_1 + 22680 + 3564] = acc0_3_16.sb;
  if (inside_55.sc) out[n2_0 * 18 + n3_1 + 22680 + 3888] = acc0_3_16.sc;
  if (inside_55.sd) out[n2_0 * 18 + n3_1 + 22680 + 4212] = acc0_3_16.sd;
  if (inside_55.se) out[n2_0 * 18 + n3_1 + 22680 + 4536] = acc0_3_16.se;
  if (inside_55.sf) out[n2_0 * 18 + n3_1 + 22680 + 4860] = acc0_3_16.sf;
}
