// kernel   contract_sum_10x248x5x3_k10x3x3_f32: m1 10, n1 248, m2 5, i 3, k 10, b 3, n2 3
// params   out float32[37200] written, x0 float32[300], x1 float32[22320]
//          t0 = add over k (x0[m1*30+m2+k*3+b*-1 | 0<=m2+b*-1<3] * x1[n1*9+k*2232+b*3+n2])     {m1 n1 m2 b n2}
//          t1 = add over b n2 (where({0<=m2+b*-1<3}, where({0<=i+n2*-1<1}, t0, 0.0), 0.0))     {m1 n1 m2 i}
//          out[m1*3720+n1*15+m2*3+i] = t1                                               {m1 n1 m2 i}
//
// grid     m1 by 1, i by 16
// loop     m1 by 1, n1 by 1, m2 by 1, k by 1, b by 1, n2 by 1
// vector   i
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static inline void __attribute__((overloadable)) kf_store_float32(float16 v, __global float *p, int first, int last) { if (first <= 0 && last >= 16) { vstore16(v, 0, p); return; } float t[16]; vstore16(v, 0, t); kf_for (int l = max(first, 0); l < min(last, 16); l++) p[l] = t[l]; }
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void contract_sum_10x248x5x3_k10x3x3_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int m1_0 = (int)get_group_id(0) * 1;
  kf_for (int n1_1 = 0; n1_1 < 248; n1_1 += 1) {
    kf_for (int m2_2 = 0; m2_2 < 5; m2_2 += 1) {
      float acc0[9] __attribute__((aligned(64)));
      kf_for (int z = 0; z < 9; z += 1) {
        acc0[z] = 0.0f;
      }
      kf_for (int k3 = 0; k3 < 10; k3 += 1) {
        const int first_1 = clamp((int)(m2_2 + -2), (int)0, (int)(3 - 0 - 1));
        const int last_2 = max((int)(first_1 + 1), min((int)(3), (int)(m2_2 + 1)));
        kf_for (int b4 = first_1; b4 < last_2; b4 += 1) {
          kf_for (int n2_5 = 0; n2_5 < 3; n2_5 += 1) {
            float acc0_3 = acc0[b4 * 3 + n2_5];
            const float x0_4 = (m2_2 - b4 >= 0 && m2_2 - b4 < 3) ? x0[m1_0 * 30 + m2_2 + k3 * 3 - b4] : 0.0f;
            const float x1_5 = x1[n1_1 * 9 + k3 * 2232 + b4 * 3 + n2_5];
            acc0_3 = fma(x0_4, x1_5, acc0_3);
            acc0[b4 * 3 + n2_5] = acc0_3;
          }
        }
      }
      float16 acc1_0 = (float16)(0.0f);
      const int first_6 = clamp((int)(m2_2 + -2), (int)0, (int)(3 - 0 - 1));
      const int last_7 = max((int)(first_6 + 1), min((int)(3), (int)(m2_2 + 1)));
      kf_for (int b4 = first_6; b4 < last_7; b4 += 1) {
        kf_for (int n2_5 = 0; n2_5 < 3; n2_5 += 1) {
          const int valid_8 = m2_2 - b4 >= 0 && m2_2 - b4 < 3;
          const int16 valid_9 = (kf_lanes_int >= 0 - (-n2_5)) & (kf_lanes_int < 1 - (-n2_5));
          const float acc_10 = acc0[b4 * 3 + n2_5];
          const float16 where_11 = select((float16)(0.0f), (float16)(acc_10), valid_9);
          const float16 where_12 = valid_8 ? where_11 : (float16)(0.0f);
          acc1_0 = acc1_0 + where_12;
        }
      }
      kf_store_float32(acc1_0, out + m1_0 * 3720 + n1_1 * 15 + m2_2 * 3, 0, 3 - 0);
    }
  }
}
